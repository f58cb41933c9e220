"""What is wrong with a figure to the eye: markup that was not rendered, text cut off or on top of other text, and
styles of lines and marks that nothing explains."""

import re
from collections.abc import Iterator
from itertools import combinations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from interneuron.canvas import are_names, run_together, tick_labels

MARKUP = re.compile(r"\$|\\[a-z]+|\{|\}|<[a-z/]|\b(nan|inf|None)\b")
ALLOWED = 1.0  # pixels
DASHES = {":": "dotted", "--": "dashed"}


def faults(figure: Figure) -> list[str]:
    """Sentences on a figure as it is drawn, none of one that is in order."""
    figure.draw_without_rendering()
    return [*_markup(figure), *_cut_off(figure), *_on_top(figure), *_unexplained(figure)]


def texts(figure: Figure) -> list[Text]:
    """What can be read of it, tick labels as far as their axis shows them."""
    every = [axis for axes in figure.findobj(Axes) for axis in (axes.xaxis, axes.yaxis)]  # type: ignore[attr-defined]
    shown = {label for axis in every for label in tick_labels(axis)}
    ticks = [tick for axis in every for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]]
    hidden = {label for tick in ticks for label in (tick.label1, tick.label2)} - shown
    hidden |= {text for axis in every if not axis.axes.axison for text in (axis.offsetText, axis.label)}
    found = [text for text in figure.findobj(Text) if text not in hidden]
    return [text for text in found if text.get_visible() and text.get_text().strip()]  # type: ignore[attr-defined]


def _box(text: Text) -> Bbox:
    return text.get_window_extent()


def _markup(figure: Figure) -> Iterator[str]:
    for text in texts(figure):
        if MARKUP.search(text.get_text()):
            yield f"markup: {text.get_text()!r}"


def _cut_off(figure: Figure) -> Iterator[str]:
    page = figure.bbox.padded(ALLOWED)
    for text in texts(figure):
        box = _box(text)
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1):
            yield f"cut off: {text.get_text()!r} {box.extents.round()} of {page.extents.round()}"


def _on_top(figure: Figure) -> Iterator[str]:
    """Texts that cover each other; those on one slant need not, though their boxes do."""
    boxes = [(text, _box(text).padded(-ALLOWED)) for text in texts(figure)]
    for (one, here), (other, there) in combinations(boxes, 2):
        slanted = one.get_rotation() % 90 and one.get_rotation() == other.get_rotation()
        if here.overlaps(there) and (not slanted or run_together([one, other])):
            yield f"on top of each other: {one.get_text()!r} and {other.get_text()!r}"


def _unexplained(figure: Figure) -> Iterator[str]:
    """Colours, dashes and marks of lines that neither a legend nor words explain: of a panel's lines all but one kind,
    which is what the panel is about. Where names stand along an axis, they explain what is above them."""
    legends = [legend for legend in figure.findobj(Legend) if legend.get_visible()]  # type: ignore[attr-defined]
    keys = [key for legend in legends for kind in (Line2D, Patch) for key in legend.findobj(kind)]
    known = {kind for key in keys for kind in _kinds(key)}
    coloured = {to_hex(text.get_color()) for text in texts(figure)} - {to_hex("black")}
    words = " ".join(text.get_text() for text in texts(figure))
    for axes in figure.axes:
        if not legends and any(map(are_names, (axes.xaxis, axes.yaxis))):
            continue
        lines = [line for line in axes.lines if to_hex(line.get_color()) not in coloured]
        for what in ("colour", "dash", "mark"):
            kinds = {kind for line in lines for kind in _kinds(line) if kind[0] == what}
            strange = {kind for kind in kinds - known if DASHES.get(kind[1], "\0") not in words}
            if len(strange) > 1 or (strange and len(kinds) > 1 and what != "colour"):
                yield f"not explained: {what} {sorted(kind[1] for kind in strange)} in {axes.get_title(loc='left')!r}"


def _kinds(artist: Artist) -> Iterator[tuple[str, str]]:
    """What tells a line, a mark or a bar apart from others."""
    if isinstance(artist, Line2D):
        if not len(artist.get_xdata(orig=False)) and artist.axes is not None:  # type: ignore[arg-type]
            return
        marked, dashed = artist.get_marker() not in ("None", "", None), artist.get_linestyle() != "None"
        if marked or dashed:
            yield "colour", to_hex(artist.get_color())
        if marked:
            yield "mark", str(artist.get_marker())
        if dashed:
            yield "dash", str(artist.get_linestyle())
    elif isinstance(artist, Patch):
        yield "colour", to_hex(artist.get_facecolor())
