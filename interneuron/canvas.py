"""What all figures share: size, colours, style, panels, mosaics of images, and checks of what is drawn.

Every figure is at most 8 inches wide at 110 dots an inch, so that a page of 900 pixels shows it at its own size.
Colours are Okabe and Ito's and matplotlib's red-blue map, which colour-blind readers tell apart; a mark's shape says
what its colour says. Images are drawn pixel by pixel, side by side in one mosaic.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from textwrap import fill
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator, NullFormatter, ScalarFormatter

from interneuron.errors import InputError

DPI = 110
WIDTH = 8.0
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00"
GREY, DARK, GAP = "#8a8a8a", "#333333", "#b9b9b9"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "figure.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": DARK,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "legend.frameon": False,
    "text.parse_math": False,
}
SPACE = 4  # pixels between texts, and to the figure's edge
_MEASURE = TextToPath()
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def in_style() -> Iterator[None]:
    """Within the context, this module's style, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in this module's style; the texts of a figure that it returns are fitted (see `fit`)."""

    @wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with in_style():
            drawn = function(*args, **kwargs)
            if isinstance(drawn, Figure):
                fit(drawn)
            return drawn

    return styled


class StyledFigure(Figure):
    """A figure that is drawn in the style too: matplotlib looks some of it up only then."""

    def draw(self, renderer: Any) -> None:
        with in_style():
            super().draw(renderer)


def picture_sheet(
    tiles: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    axis: str,
    bar: str = "",
    label: float = 1.3,
) -> Figure:
    """A mosaic with names at its left and below; with a colour bar (and a diverging scale) if `bar` says of what."""
    label = max(label, max(inches(row, 8.5) for row in rows) + 0.15)
    right = 0.95 if bar else 0.15
    top, foot = 0.45, 0.6
    tile = min((WIDTH - label - right) / tiles.shape[1], 1.0)
    tile = min(tile, 9.0 / len(tiles))
    width, height = max(label + tile * tiles.shape[1] + right, 4.4), top + foot + tile * len(tiles)
    figure = StyledFigure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.22 / height, title, fontsize=11, va="center")
    axes = axes_at(figure, label, foot, tile * tiles.shape[1], tile * len(tiles))
    limit = colour_limit(tiles) if bar else 1.0
    picture = draw_mosaic(axes, tiles, rows, columns, "RdBu_r" if bar else "gray", -limit if bar else 0.0, limit)
    axes.set_xlabel(axis)
    if bar:
        tall = max(tile * len(tiles), 1.1)
        colour_bar(figure, picture, width - right + 0.1, max(foot + tile * len(tiles) - tall, 0.1), tall, bar)
    return figure


def draw_mosaic(
    axes: Axes, tiles: np.ndarray, rows: Sequence[str], columns: Sequence[str], colours: str, low: float, high: float
) -> Any:
    """Draw tiles (rows, columns, height, width, in colour 3) as one image with thin gaps, names at their middles."""
    across, down = tiles.shape[3] + 1, tiles.shape[2] + 1
    gap = np.nan if tiles.ndim == 4 else mpl.colors.to_rgb(GAP)
    sheet = np.empty((tiles.shape[0] * down, tiles.shape[1] * across, *tiles.shape[4:]))
    sheet[:] = gap
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            sheet[row * down : row * down + down - 1, column * across : column * across + across - 1] = tiles[
                row, column
            ]
    picture = axes.imshow(
        sheet[:-1, :-1],
        cmap=mpl.colormaps[colours].with_extremes(bad=GAP),
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xticks=(np.arange(tiles.shape[1]) + 0.5) * across - 1, xticklabels=columns)
    axes.set(yticks=(np.arange(tiles.shape[0]) + 0.5) * down - 1, yticklabels=rows)
    axes.tick_params(length=0, pad=4)
    frame_axes(axes)
    return picture


def framed_figure(height: float, title: str, below: float = 0.3) -> tuple[Figure, SubFigure, SubFigure]:
    """A figure with its title, and its two parts: the panels' and, `below` inches high, the legend's."""
    figure = StyledFigure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    body, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=[height - below, below])[:, 0]
    body.suptitle(title, x=0.01, ha="left")
    return figure, body, foot


def nothing_figure(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to see: that nothing was found is a result too."""
    figure = StyledFigure(figsize=(WIDTH, 1.2), dpi=DPI)
    figure.text(0.01, 0.78, title, fontsize=11, va="center")
    figure.text(0.01, 0.35, sentence, color=ORANGE, va="center")
    return figure


def panel_figure(count: int, height: float, title: str, below: float = 0.3) -> tuple[Figure, list[Axes], SubFigure]:
    """`count` panels, two a row; the cells left over stay empty."""
    across = min(2, count)
    down = -(-count // across)
    figure, body, foot = framed_figure(0.45 + below + height * down, title, below)
    grid = list(body.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count], foot


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def colour_bar(figure: Figure, picture: Any, left: float, bottom: float, height: float, label: str) -> None:
    """A colour bar of a picture, at a place given in inches."""
    axes = axes_at(figure, left, bottom, 0.14, height)
    size = 8.5 if height > 2 else 7
    figure.colorbar(picture, cax=axes).set_label(wrapped(label, size, max(height, 1.0) + 0.3), fontsize=size)


def frame_axes(axes: Axes) -> None:
    """A thin frame on all four sides."""
    for spine in axes.spines.values():
        spine.set(visible=True, color="#b9b9b9", linewidth=0.8)


# numbers


def plain(value: float) -> str:
    """A number as people write it: `12,000`, `0.05`, `2e−7`."""
    whole = abs(value) < 1e7 and float(value).is_integer()
    text = f"{value:,.0f}" if whole else f"{value:.6g}"
    return re.sub(r"e([-+])0*", lambda sign: "e" + sign[1].strip("+"), text).replace("-", "\N{MINUS SIGN}")


def percent(value: float) -> str:
    """A share as people write it: `5%`, `0.2%`."""
    return plain(100 * value) + "%"


def write_numbers(axis: Axis, shares: bool = False) -> None:
    """Write an axis' numbers, or shares in percent; where it is logarithmic, at round numbers. Its scale has to be set.

    matplotlib's own formatters of logarithmic axes, those of minor ticks too, write formulas, which are not rendered.
    """
    if axis.get_scale() != "linear":
        axis.set_major_locator(RoundNumbers())
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(Written(percent if shares else plain))


class Written(FuncFormatter):
    """Numbers as `plain` or `percent` writes them."""

    def __init__(self, write: Callable[[float], str]) -> None:
        super().__init__(lambda value, _: write(value))


class RoundNumbers(Locator):
    """Ticks of an axis that is logarithmic, or is so beyond `linear`: powers of 10, or 1, 2, 5, 10, ..., or even steps,
    whichever come first with three or more; at most seven."""

    def __call__(self) -> Sequence[float]:
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        low, high = sorted((float(vmin), float(vmax)))
        near = max(low, getattr(self.axis.get_transform(), "linthresh", 0.0))  # type: ignore[union-attr]
        powers = range(int(np.floor(np.log10(near))), int(np.ceil(np.log10(max(high, -low)))) + 1)
        for digits in ((1,), (1, 2, 5)):
            ticks: Sequence[float] = [float(f"{digit}e{power}") for power in powers for digit in digits]
            ticks = ticks if low > 0 else [*(-tick for tick in reversed(ticks)), 0.0, *ticks]
            ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
            if len(ticks) >= 3:
                return ticks[:: -(-len(ticks) // 7)]
        even = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(tick) for tick in even if low <= tick <= high and (tick > 0 or low <= 0)]


# texts


def inches(text: str, size: float) -> float:
    """How wide a text is, its longest line."""
    font = FontProperties(size=size)
    return max(_MEASURE.get_text_width_height_descent(line, font, False)[0] / 72 for line in text.split("\n"))


def wrapped(text: str, size: float, room: float) -> str:
    """A text in lines of at most `room` inches, broken between words where that can be."""
    lines = text.split("\n")
    for most in range(max(map(len, lines)), 1, -1):
        if inches(text, size) <= room:
            break
        text = "\n".join(fill(line, most) for line in lines)
    return text


def fit(figure: Figure) -> None:
    """Make room for texts that lack it; what fits is left as it is.

    Titles that are wider than their place go on in the next line, or are written smaller where a line has no place;
    legends have fewer columns and more height; names of ticks that run into each other are slanted, or written smaller;
    of what still does, and of numbers, every other one is left out.
    """
    for _ in range(8):
        figure.draw_without_rendering()
        if not any([_fit_titles(figure), _fit_legends(figure), _fit_ticks(figure)]):
            break
    figure.set_layout_engine("none")  # each time that it runs it moves things a little


def _fit_titles(figure: Figure) -> bool:
    changed = False
    for axes in figure.axes:
        row = [other.bbox for other in figure.axes if other.bbox.y0 < axes.bbox.y1 and other.bbox.y1 > axes.bbox.y0]
        end = min([box.x0 for box in row if box.x0 > axes.bbox.x1 - 1], default=figure.bbox.x1)
        middle = (axes.bbox.x0 + axes.bbox.x1) / 2
        left = axes._left_title  # type: ignore[attr-defined]
        changed |= _break(axes.title, min(end - axes.bbox.x0, 2 * (middle - figure.bbox.x0)) - SPACE)
        changed |= _break(left, end - left.get_window_extent().x0 - SPACE)
    for part in (figure, *figure.subfigs):
        for text in part.texts:
            box = text.get_window_extent()
            room = figure.bbox.x1 - SPACE - box.x0
            if text is part._suptitle:  # type: ignore[attr-defined]
                changed |= _break(text, room)
            elif 0 < room < box.width:
                text.set_fontsize(text.get_fontsize() * room / box.width)
                changed = True
    return changed


def _break(title: Text, room: float) -> bool:
    if not title.get_text() or title.get_window_extent().width <= room:
        return False
    before = title.get_text()
    title.set_text(wrapped(before, float(title.get_fontsize()), 0.97 * room / DPI))
    return title.get_text() != before


def _fit_legends(figure: Figure) -> bool:
    changed = False
    for part in figure.subfigs:
        for legend in part.legends:
            box, columns = legend.get_window_extent(), legend._ncols  # type: ignore[attr-defined]
            if box.width > figure.bbox.width - 2 * SPACE and columns > 1:
                marks = [mark for mark in legend.legend_handles if mark is not None]
                labels = [text.get_text() for text in legend.get_texts()]
                legend.remove()
                part.legend(marks, labels, loc="center", ncols=columns - 1, prop=legend.prop)
                changed = True
            elif box.height > part.bbox.height + 1:
                more = (box.height - part.bbox.height) / DPI
                place = part._subplotspec  # type: ignore[attr-defined]
                heights = np.array(place.get_gridspec().get_height_ratios(), float)
                heights *= figure.get_figheight() / heights.sum()
                heights[place.rowspan.start] += more
                place.get_gridspec().set_height_ratios(heights.tolist())
                figure.set_figheight(float(heights.sum()))
                changed = True
    return changed


def tick_labels(axis: Axis) -> list[Text]:
    """The labels of an axis that can be read."""
    if not axis.axes.axison or not axis.get_visible():
        return []
    labels = [label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)]  # type: ignore[attr-defined]
    return [label for label in labels if label.get_visible() and label.get_text().strip()]


def are_names(axis: Axis) -> bool:
    """Whether an axis' ticks have names, which have to stay at their places."""
    numbers = isinstance(axis.get_major_formatter(), Written | ScalarFormatter)
    return isinstance(axis.get_major_locator(), FixedLocator) and not numbers


def run_together(labels: Sequence[Text]) -> bool:
    """Whether labels that are beside each other touch."""
    boxes = [label.get_window_extent() for label in labels]
    for one, other, label in zip(boxes, boxes[1:], labels, strict=False):
        slant = np.radians(label.get_rotation() % 90)
        apart = float(np.hypot(other.x0 - one.x0, other.y0 - one.y0)) * np.sin(slant)
        if one.padded(-0.5).overlaps(other.padded(-0.5)) and not (
            slant and apart >= float(label.get_fontsize()) * DPI / 72
        ):
            return True
    return False


def _fit_ticks(figure: Figure) -> bool:
    changed = False
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = tick_labels(axis)
            if not run_together(labels):
                continue
            changed = True
            names = are_names(axis)
            if names and axis is axes.xaxis and figure.get_layout_engine() and not labels[0].get_rotation():
                for label in axis.get_ticklabels():
                    label.set(rotation=45, ha="right", rotation_mode="anchor")
            elif names and float(labels[0].get_fontsize()) > 6:
                axis.set_tick_params(labelsize=max(6, 0.9 * float(labels[0].get_fontsize())))
            elif names:
                axis.set_ticks(axis.get_majorticklocs()[::2], [text.get_text() for text in axis.get_ticklabels()[::2]])
            else:
                axis.set_major_locator(FixedLocator(list(axis.get_majorticklocs()[::2])))
    return changed


def rows_where(table: pd.DataFrame, equal: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose columns have these values."""
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def colour_limit(values: np.ndarray) -> float:
    """End of a colour scale that is even around 0."""
    return float(np.abs(values).max()) or 1.0


def checked_tiles(name: str, images: np.ndarray, dimensions: int) -> np.ndarray:
    """Images as an array of so many dimensions. Raises InputError for another shape, and values that are not finite."""
    tiles = np.asarray(images, dtype=float)
    if tiles.ndim != dimensions or 0 in tiles.shape:
        axes = "latents, alphas, height, width" if dimensions == 4 else "classes, height, width"
        raise InputError(f"{name} is {tiles.shape}; a figure takes {axes}, none of them 0")
    if not np.isfinite(tiles).all():
        raise InputError(
            f"{name} holds {int((~np.isfinite(tiles)).sum())} values that are not finite; a figure takes none"
        )
    return tiles


def check_columns(figure: str, table: pd.DataFrame, columns: Sequence[str], empty: bool = False) -> None:
    """Raises InputError where the table lacks a column, or has no rows unless it may be `empty`."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{figure}: the table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if table.empty and not empty:
        raise InputError(f"{figure}: the table has no rows, nothing can be drawn")
