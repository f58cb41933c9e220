"""The figures: arrays and tables in, a matplotlib `Figure` (or the frames of an animation) out.

Every figure is at most 8 inches wide at 110 dots an inch, so that a page of 900 pixels shows it at its own size.
Colours are Okabe and Ito's and matplotlib's red-blue map, which colour-blind readers tell apart; a mark's shape says
what its colour says. Images are drawn pixel by pixel, side by side in one mosaic.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from textwrap import fill
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from interneuron.claims import median_interval
from interneuron.errors import InputError

DPI = 110
WIDTH = 8.0
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00"
GREY, DARK = "#8a8a8a", "#333333"
READINGS = {
    "activation": ("activations", BLUE, "o"),
    "A": ("effects A", ORANGE, "s"),
    "B": ("effects B", GREEN, "D"),
    "C": ("effects C", PURPLE, "^"),
}
LAYER_COLOURS = (YELLOW, SKY, BLUE, PURPLE, GREEN, ORANGE)
NONE_CONVERGED = "No clustering converged, so there are no clusters to silence."
_STYLE: dict[Any, Any] = {
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
_CLUSTERING = ["seed", "digit", "latent", "alpha", "reading", "draws"]

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def _style() -> Iterator[None]:
    """This module's style, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _styled(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with _style():
            return function(*args, **kwargs)

    return styled


class _Figure(Figure):
    """A figure that is drawn in the style too: matplotlib looks some of it up only then."""

    def draw(self, renderer: Any) -> None:
        with _style():
            super().draw(renderer)


@_styled
def traversal(images: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = "") -> Figure:
    """Decoded images, one row a latent and one column a value it is set to.

    `images` is latents, alphas, height, width in [0, 1]; `names` labels the rows.
    Raises InputError if the shapes do not fit.
    """
    tiles = _tiles("images", images, 4)
    _lengths("traversal", tiles, names, alphas)
    return _pictures(
        tiles,
        names,
        _numbers(alphas),
        title or "Decoded images as one latent moves",
        "latent set to (its prior's standard deviations)",
    )


@_styled
def traversal_frames(
    images: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = ""
) -> list[np.ndarray]:
    """Frames (uint8, height, width, 3) that go through the alphas and back, every latent moving at once.

    Takes what `traversal` takes, and raises InputError likewise.
    """
    tiles = _tiles("images", images, 4)
    _lengths("traversal", tiles, names, alphas)
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    tile, top, foot, caption = 1.2, 0.4, 0.6, 0.26
    width, height = max(columns * tile, 4.4) + 0.2, top + rows * (tile + caption) + foot
    left = (width - columns * tile) / 2
    there = list(range(len(alphas)))
    frames: dict[int, np.ndarray] = {}
    for index in there:
        figure = _Figure(figsize=(width, height), dpi=100)
        canvas = FigureCanvasAgg(figure)
        figure.text(0.5, 1 - 0.2 / height, title or "Decoded images as one latent moves", ha="center", va="center")
        for number, name in enumerate(names):
            row, column = divmod(number, columns)
            bottom = height - top - row * (tile + caption) - caption - tile
            axes = _place(figure, left + column * tile + 0.04, bottom + 0.04, tile - 0.08, tile - 0.08)
            axes.imshow(tiles[number, index], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            x, y = (left + (column + 0.5) * tile) / width, (bottom + tile + caption / 2 - 0.02) / height
            figure.text(x, y, name, ha="center", va="center", fontsize=8.5)
        slider = _place(figure, 0.5, 0.4, width - 1.0, 0.12)
        slider.plot(alphas, np.zeros(len(alphas)), color=GREY, linewidth=1.5, marker="|", markersize=8)
        slider.plot([alphas[index]], [0.0], color=ORANGE, marker="o", markersize=9, clip_on=False)
        slider.set(xticks=list(alphas), xticklabels=_numbers(alphas), yticks=[], ylim=(-1, 1))
        slider.tick_params(length=0, pad=2)
        for spine in slider.spines.values():
            spine.set_visible(False)
        canvas.draw()
        frames[index] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return [frames[index] for index in there + there[-2:0:-1]]


@_styled
def effects(effect: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = "") -> Figure:
    """Average causal effects on the pixels, one row a latent and one column an alpha, in one colour scale.

    `effect` is latents, alphas, height, width. Raises InputError if the shapes do not fit.
    """
    tiles = _tiles("effect", effect, 4)
    _lengths("effects", tiles, names, alphas)
    return _pictures(
        tiles,
        names,
        _numbers(alphas),
        title or "Average causal effect of a latent on the pixels",
        "latent set to (its prior's standard deviations)",
        "effect (pixel brightness, 0 to 1)",
    )


@_styled
def classes(effect: np.ndarray, title: str = "") -> Figure:
    """Average causal effects of switching each class on, on the pixels, in one colour scale.

    `effect` is classes, height, width. Raises InputError if the shape does not fit.
    """
    maps = _tiles("effect", effect, 3)
    columns = min(5, len(maps))
    rows = -(-len(maps) // columns)
    tile, left, top, foot, bar = min(1.32, 6.6 / columns), 0.15, 0.45, 0.15, 0.95
    width, height = max(left + columns * tile + bar, 4.4), top + rows * (tile + 0.22) + foot
    figure = _Figure(figsize=(width, height), dpi=DPI)
    figure.text(left / width, 1 - 0.22 / height, title or "Average causal effect of a class on the pixels", fontsize=11)
    limit = _limit(maps)
    picture = None
    for number, image in enumerate(maps):
        row, column = divmod(number, columns)
        bottom = height - top - (row + 1) * (tile + 0.22)
        axes = _place(figure, left + column * tile + 0.03, bottom, tile - 0.06, tile - 0.06)
        picture = axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"do(c{number} = 1)", fontsize=9, pad=3)
        _frame(axes)
    _bar(figure, picture, width - bar + 0.1, foot, height - top - foot - 0.22, "effect (pixel brightness, 0 to 1)")
    return figure


@_styled
def kl(table: pd.DataFrame, active_above: float = 0.1) -> Figure:
    """KL divergence of every latent from its prior, in nats a sample, latents in falling order, one line a seed.

    `table` has columns seed, latent and kl. Raises InputError if one is missing or no row is there.
    """
    _columns("kl", table, ["seed", "latent", "kl"])
    figure, axes = _panel(WIDTH, 3.7)
    seeds = sorted(table["seed"].unique())
    floor = max(float(table.loc[table["kl"] > 0, "kl"].min()) if (table["kl"] > 0).any() else 1e-4, 1e-5)
    active = []
    for seed in seeds:
        values = np.sort(table.loc[table["seed"] == seed, "kl"].to_numpy())[::-1]
        active.append(int((values > active_above).sum()))
        rank = np.arange(1, len(values) + 1)
        shown = np.maximum(values, floor)
        axes.plot(rank, shown, color=GREY, linewidth=0.8, alpha=0.7, zorder=1)
        above = values > active_above
        axes.plot(rank[above], shown[above], "o", color=BLUE, markersize=5.5, zorder=3)
        axes.plot(rank[~above], shown[~above], "o", color=BLUE, markerfacecolor="white", markersize=5.5, zorder=3)
    axes.axhline(active_above, color=ORANGE, linewidth=1.2, linestyle="--", zorder=2)
    last = int(table.groupby("seed")["latent"].count().max())
    axes.text(last + 0.4, active_above * 1.1, f"{active_above:g} nats", color=ORANGE, ha="right", va="bottom")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set(xlim=(0.5, last + 0.5), xticks=range(1, last + 1))
    axes.set_xlabel("latent, by falling KL divergence")
    axes.set_ylabel("KL divergence (nats a sample)")
    least, most = min(active), max(active)
    count = f"{least}" if least == most else f"{least} to {most}"
    axes.set_title(
        f"{count} active latent{'' if least == most == 1 else 's'} a seed: KL of every latent from its prior, "
        f"{len(seeds)} seed{'s' * (len(seeds) > 1)}",
        fontsize=11,
        loc="left",
    )
    full = Line2D([], [], color=BLUE, marker="o", linestyle="none", label=f"active (above {active_above:g} nats)")
    hollow = Line2D(
        [], [], color=BLUE, marker="o", markerfacecolor="white", linestyle="none", label="collapsed onto the prior"
    )
    axes.legend(handles=[full, hollow], loc="upper right")
    return figure


@_styled
def preference(sweep: pd.DataFrame, seed: int | None = None) -> Figure:
    """Number of clusters against how far the preference lies below the median similarity.

    `sweep` is of one digit and one latent a seed; a row of panels a reading, a column an alpha (at most three). `seed`
    (default: the least) is drawn with its marks, the others are thin lines. The median itself is at distance 0, which
    a logarithmic axis lacks: it stands at the left edge. Raises InputError if a column or the seed is missing.
    """
    _columns("preference", sweep, [*_CLUSTERING, "preference", "clusters", "converged", "median", "plateau", "chosen"])
    seed = _seed(sweep, seed)
    keys = _readings(sweep)
    alphas = _some(sorted(sweep["alpha"].unique()), 3)
    table = sweep.copy()
    middle = table[table["median"]].set_index(_CLUSTERING)["preference"].rename("middle")
    table = table.join(middle[~middle.index.duplicated()], on=_CLUSTERING)
    table["distance"] = table["middle"] - table["preference"]
    positive = table.loc[table["distance"] > 0, "distance"]
    if positive.empty:
        raise InputError(
            "preference: no preference of the sweep lies below the median similarity, nothing can be drawn"
        )
    edge = float(positive.min()) / 3
    table["distance"] = table["distance"].where(~table["median"], edge)
    table = table[table["distance"] > 0]
    figure, body, foot = _framed(0.95 + 2.05 * len(keys), f"Number of clusters against the preference, seed {seed}")
    grid = body.subplots(len(keys), len(alphas), sharex=True, sharey="row", squeeze=False)
    for row, (reading, draws) in enumerate(keys):
        label, colour, marker = _reading(reading)
        own = table[(table["reading"] == reading) & (table["draws"] == draws)]
        for axes, alpha in zip(grid[row], alphas, strict=True):
            here = own[own["alpha"] == alpha]
            for other, runs in here[here["seed"] != seed].groupby("seed"):
                runs = runs.sort_values("distance")
                axes.plot(runs["distance"], runs["clusters"], color=GREY, linewidth=0.6, alpha=0.6, label=str(other))
            runs = here[here["seed"] == seed].sort_values("distance")
            level = runs[runs["plateau"]]
            if len(level):
                axes.axvspan(
                    level["distance"].min() / 1.15, level["distance"].max() * 1.15, color=YELLOW, alpha=0.3, lw=0
                )
            axes.plot(runs["distance"], runs["clusters"], color=colour, linewidth=1.2, zorder=2)
            for converged, face in ((True, colour), (False, "white")):
                part = runs[runs["converged"] == converged]
                size = np.where(part["median"], 42, 24)
                axes.scatter(
                    part["distance"],
                    part["clusters"],
                    s=size,
                    marker=marker,
                    facecolor=face,
                    edgecolor=colour,
                    zorder=3,
                )
            chosen = runs[runs["chosen"]]
            axes.scatter(
                chosen["distance"], chosen["clusters"], s=130, facecolor="none", edgecolor=DARK, linewidth=1.5, zorder=4
            )
            for x, y in zip(chosen["distance"], chosen["clusters"], strict=True):
                axes.annotate(f"{y:.0f}", (x, y), (0, 9), textcoords="offset points", ha="center", fontweight="bold")
            axes.set_title(f"latent set to {_number(alpha)}", loc="left")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(color="#e4e4e4", linewidth=0.6)
            axes.axvline(edge * 1.7, color=GREY, linewidth=0.8, linestyle=":")
        _plain_log(grid[row][0], own["clusters"])
        grid[row][0].set_ylabel(f"{label}, {_draws(draws)}\nclusters")
    ticks = [10.0**power for power in range(-6, 7) if edge * 4 <= 10.0**power <= float(table["distance"].max()) * 1.2]
    for axes in grid.flat:
        axes.xaxis.set_major_locator(FixedLocator([edge, *ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "median" if x <= edge * 1.01 else f"{x:g}"))
    body.supxlabel("how far the preference lies below the median similarity", fontsize=9)
    marks = [
        _mark("converged"),
        _mark("not converged", "white"),
        Patch(color=YELLOW, alpha=0.3, label="plateau"),
        _mark("chosen", "none", 11),
    ]
    if sweep["seed"].nunique() > 1:
        marks.append(Line2D([], [], color=GREY, linewidth=0.8, label="other seeds"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def clusters(sweep: pd.DataFrame, reported: pd.DataFrame | None = None) -> Figure:
    """Number of clusters at the chosen preference, per alpha and reading: a mark a seed, a bar at their median.

    `sweep` is of one digit and one latent a seed (its `chosen` rows are drawn); `reported` may have the numbers that a
    paper gives, in columns reading, alpha and clusters, and draws if they are of one number of draws only. Raises
    InputError if a column is missing.
    """
    _columns("clusters", sweep, [*_CLUSTERING, "clusters", "converged", "chosen"])
    chosen = sweep[sweep["chosen"]]
    if chosen.empty:
        return _nothing("Clusters at the chosen preference", "No preference was chosen for any clustering.")
    theirs = _reported("clusters", reported, ["reading", "alpha", "clusters"])
    keys = _readings(chosen)
    seeds = sorted(chosen["seed"].unique())
    title = f"Clusters at the chosen preference, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    figure, panels, foot = _panels(len(keys), 2.75, title)
    for axes, (reading, draws) in zip(panels, keys, strict=True):
        label, colour, marker = _reading(reading)
        own = chosen[(chosen["reading"] == reading) & (chosen["draws"] == draws)]
        positions = {alpha: at for at, alpha in enumerate(sorted(chosen["alpha"].unique()))}
        _swarm(axes, own, "clusters", positions, seeds, colour, marker)
        mine = theirs[(theirs["reading"] == reading) & theirs["alpha"].isin(list(positions))]
        mine = mine[mine["draws"] == draws] if "draws" in mine else mine
        axes.plot(
            [positions[alpha] for alpha in mine["alpha"]], mine["clusters"], "_", color="black", markersize=17,
            markeredgewidth=2.2, zorder=5,
        )  # fmt: skip
        axes.set_title(f"{label}, {_draws(draws)}", loc="left")
        axes.set(xticks=list(positions.values()), xticklabels=_numbers(positions), xlim=(-0.6, len(positions) - 0.4))
        axes.set_xlabel("latent set to")
        axes.set_ylabel("clusters")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    both = pd.concat([chosen["clusters"].astype(float), theirs["clusters"].astype(float)])
    for axes in panels:
        if both.max() > 40:
            axes.set_yscale("log")
            _plain_log(axes, both)
        else:
            axes.set_ylim(0, both.max() * 1.1)
            axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    marks = _swarm_legend()
    if len(theirs):
        bar = Line2D([], [], color="black", marker="_", linestyle="none", markersize=13, label="reported in the paper")
        bar.set_markeredgewidth(2.2)
        marks.append(bar)
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def lesions(panels: Sequence[Mapping[str, Any]], alphas: Sequence[float], title: str = "") -> Figure:
    """Images with one cluster silenced: a row a cluster (the first: the intact decoder), a column an alpha.

    Each panel is a mapping with `title`, `images` (rows, alphas, height, width in [0, 1]), `names` (of the rows) and
    `fails` (rows whose digit is lost: a cross and a red, bold name). At most two panels stand side by side.
    Raises InputError if the shapes do not fit.
    """
    title = title or "Images with one cluster silenced"
    if not panels:
        return _nothing(title, NONE_CONVERGED)
    mosaics = []
    for panel in panels:
        tiles = _tiles("images", panel["images"], 4)
        _lengths("lesions", tiles, panel["names"], alphas)
        mosaics.append(tiles)
    across = min(2, len(panels))
    label, gap, top, foot, head = 1.65, 0.1, 0.35, 0.5, 0.32
    tile = min((WIDTH - across * (label + gap)) / (across * len(alphas)), 0.62)
    lines = [list(range(start, min(start + across, len(panels)))) for start in range(0, len(panels), across)]
    heights = [max(len(mosaics[at]) for at in line) * tile + head + foot for line in lines]
    width, height = max(across * (label + gap + tile * len(alphas)), 4.4), top + sum(heights)
    figure = _Figure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.2 / height, title, fontsize=11, va="center")
    ceiling = height - top
    for line, tall in zip(lines, heights, strict=True):
        for column, at in enumerate(line):
            tiles, panel = mosaics[at], panels[at]
            left = column * (label + gap + tile * len(alphas)) + label
            bottom = ceiling - head - len(tiles) * tile
            axes = _place(figure, left, bottom, tile * len(alphas), len(tiles) * tile)
            names = [
                f"\N{BALLOT X} {name}" if fails else name
                for name, fails in zip(panel["names"], panel["fails"], strict=True)
            ]
            _mosaic(axes, tiles, names, _numbers(alphas), "gray", 0, 1)
            for text, fails in zip(axes.get_yticklabels(), panel["fails"], strict=True):
                if fails:
                    text.set(color="#b3200e", fontweight="bold")
            axes.set_title(panel["title"], loc="left", x=-label / (tile * len(alphas)) + 0.02)
            axes.set_xlabel("latent set to", labelpad=2)
        ceiling -= tall
    return figure


@_styled
def sizes(lesions: pd.DataFrame, reported: pd.DataFrame | None = None) -> Figure:
    """Neurons in the important cluster of every reading, and in the critical cluster, per alpha: a mark a seed.

    `lesions` is of one digit, one latent a seed, one scope and one ablation; `reported` may have a paper's ranges, in
    columns set, reading, low and high (set `hidden`: the critical cluster's hidden neurons; an empty reading: any).
    Raises InputError if a column is missing.
    """
    _columns("sizes", lesions, [*_CLUSTERING, "set", "neurons", "hidden", "converged"], empty=True)
    theirs = _reported("sizes", reported, ["set", "reading", "low", "high"])
    drawn = lesions[lesions["set"].isin(["important", "critical"])]
    if drawn.empty:
        return _nothing("Sizes of the important and the critical clusters", NONE_CONVERGED)
    seeds = sorted(lesions["seed"].unique())
    positions = {alpha: at for at, alpha in enumerate(sorted(drawn["alpha"].dropna().unique()))}
    series: list[tuple[str, str, pd.DataFrame, str, str]] = []
    for kind in ("important", "critical"):
        part = drawn[drawn["set"] == kind]
        for reading, draws in _readings(part) if len(part) else []:
            own = part[(part["reading"] == reading) & (part["draws"] == draws)]
            name = f"{_reading(reading)[0]}, {_draws(draws)}"
            if kind == "important":
                series.append((f"important: {name}", "important", own, "neurons", reading))
            else:
                series.append((f"critical: {name}", "critical", own, "neurons", reading))
                series.append((f"critical, hidden neurons: {name}", "hidden", own, "hidden", reading))
    title = f"Sizes of the important and the critical clusters, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    figure, panels, foot = _panels(len(series), 2.4, title)
    for axes, (name, kind, own, column, reading) in zip(panels, series, strict=True):
        colour, marker = _reading(reading)[1:] if kind == "important" else (DARK, "o" if kind == "critical" else "D")
        here = theirs[(theirs["set"] == kind) & ((theirs["reading"] == reading) | (theirs["reading"] == ""))]
        for low, high in zip(here["low"], here["high"], strict=True):
            axes.axhspan(low, high, color=YELLOW, alpha=0.3, linewidth=0, zorder=0)
        _swarm(axes, own, column, positions, seeds, colour, marker)
        axes.set_yscale("symlog", linthresh=1)
        axes.set(xticks=list(positions.values()), xticklabels=_numbers(positions), xlim=(-0.6, len(positions) - 0.4))
        axes.set_title(name, loc="left")
        axes.set_xlabel("latent set to")
        axes.set_ylabel("neurons")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    values = pd.concat([part[column] for _, _, part, column, _ in series] + [theirs["low"], theirs["high"]]).astype(
        float
    )
    least, most = values.min(), values.max()
    for axes in panels:
        ticks = [0.0, *[10.0**power for power in range(6) if 10**power <= most * 1.5]]
        axes.set(yticks=ticks, yticklabels=[f"{tick:,.0f}" for tick in ticks])
        axes.set_ylim(-0.25 if least < 1 else least / 1.6, most * 1.6)
        axes.yaxis.set_minor_locator(NullLocator())
    marks = _swarm_legend()
    if len(theirs):
        marks.append(Patch(color=YELLOW, alpha=0.3, label="range reported in the paper"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def null(lesions: pd.DataFrame, null: pd.DataFrame, seed: int | None = None, fail_below: float = 0.5) -> Figure:
    """Accuracy after silencing random sets, as a histogram at each alpha, with that of the set itself across it.

    Both on the same images: the set's is `null_accuracy`, NaN where the set was compared with none. A row of panels a
    set (important, critical), a column a scope; both tables are of one digit and one latent a seed, and of ablation by
    zero; `seed` (default: the least) is drawn. Raises InputError if a column or the seed is missing.
    """
    key = [*_CLUSTERING, "set", "scope"]
    _columns("null: lesions", lesions, [*key, "null_accuracy", "p"])
    _columns("null: null", null, [*key, "accuracy"], empty=True)
    seed = _seed(lesions, seed)
    title = f"Silencing a set, against random sets of its size and layers, seed {seed}"
    drawn, observed = null[null["seed"] == seed], lesions[lesions["seed"] == seed]
    keys = [(kind, *pair) for kind in ("important", "critical") for pair in _readings(drawn[drawn["set"] == kind])]
    if not keys:
        return _nothing(title, NONE_CONVERGED)
    scopes = [scope for scope in ("all", "hidden") if (drawn["scope"] == scope).any()]
    positions = {alpha: at for at, alpha in enumerate(sorted(drawn["alpha"].unique()))}
    bins = np.linspace(0, 1, 41)
    figure, body, foot = _framed(1.0 + 2.1 * len(keys), title)
    grid = body.subplots(len(keys), len(scopes), sharex=True, sharey=True, squeeze=False)
    for line, (kind, reading, draws) in zip(grid, keys, strict=True):
        for axes, scope in zip(line, scopes, strict=True):
            same = {"set": kind, "reading": reading, "draws": draws, "scope": scope}
            random, seen = _where(drawn, same), _where(observed, same)
            axes.axhspan(0, fail_below, color="#f0f0f0", linewidth=0, zorder=0)
            for alpha, accuracy in random.groupby("alpha")["accuracy"]:
                left = positions[float(alpha)] - 0.4  # type: ignore[arg-type]
                counts = np.histogram(accuracy, bins)[0]
                axes.stairs(
                    left + 0.8 * counts / max(counts.max(), 1), bins, baseline=left, orientation="horizontal",
                    fill=True, color=SKY, zorder=2,
                )  # fmt: skip
            for alpha, accuracy, p in zip(seen["alpha"], seen["null_accuracy"], seen["p"], strict=True):
                if np.isfinite(accuracy):
                    at = positions[alpha]
                    axes.plot([at - 0.44, at + 0.44], [accuracy] * 2, color=ORANGE, linewidth=2.6, zorder=3)
                    axes.text(at, 1.08, f"{p:.2g}", ha="center", va="center", fontsize=8)
            axes.text(-0.62, 1.08, "p", ha="right", va="center", fontsize=8, fontstyle="italic")
            axes.set(xlim=(-0.6, len(positions) - 0.4), ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
            axes.set(xticks=list(positions.values()), xticklabels=_numbers(positions))
            neurons = "all neurons" if scope == "all" else "hidden only"
            axes.set_title(
                f"{kind}, {_reading(reading)[0]}, {_draws(draws)}: {neurons}", fontsize=9, loc="left", pad=16
            )
    body.supxlabel("latent set to", fontsize=9)
    body.supylabel("share of images still taken for the digit (shaded: counts as failed)", fontsize=9)
    marks = [
        Patch(color=SKY, label="random sets"),
        Line2D([], [], color=ORANGE, linewidth=2.6, label="the set itself"),
        Line2D([], [], linestyle="none", label="p: share of random sets that do as much harm"),
    ]
    foot.legend(handles=marks, loc="center", ncols=3)
    return figure


@_styled
def layers(clusters: pd.DataFrame, seed: int | None = None) -> Figure:
    """Neurons in every cluster, by layer: a row of panels a reading, a column an alpha (at most three).

    `clusters` is of one digit and one latent a seed; `seed` (default: the least) is drawn. Constant neurons, which no
    cluster has, stand apart. Raises InputError if a column or the seed is missing.
    """
    _columns("layers", clusters, [*_CLUSTERING, "neuron", "cluster"])
    seed = _seed(clusters, seed)
    own = clusters[clusters["seed"] == seed].copy()
    own["layer"] = own["neuron"].str.rpartition(":")[0]
    names = list(own["layer"].unique())
    colours = {name: LAYER_COLOURS[at % len(LAYER_COLOURS)] for at, name in enumerate(names)}
    keys, alphas = _readings(own), _some(sorted(own["alpha"].unique()), 3)
    figure, body, foot = _framed(1.1 + 1.9 * len(keys), f"What the clusters are made of, seed {seed}")
    grid = body.subplots(len(keys), len(alphas), sharey=True, squeeze=False)
    for line, (reading, draws) in zip(grid, keys, strict=True):
        for axes, alpha in zip(line, alphas, strict=True):
            here = _where(own, {"reading": reading, "draws": draws, "alpha": alpha})
            table = here.groupby(["cluster", "layer"]).size().unstack(fill_value=0).reindex(columns=names, fill_value=0)
            numbers = [number for number in table.index if number >= 0]
            shown = numbers + [-1] * (-1 in table.index)
            at = np.array([*range(len(numbers)), *([len(numbers) + 0.6] * (-1 in table.index))], dtype=float)
            base = np.zeros(len(shown))
            for name in names:
                high = table.loc[shown, name].to_numpy(dtype=float)
                axes.bar(at, high, bottom=base, color=colours[name], width=0.8, edgecolor="white", linewidth=0.3)
                base += high
            axes.set(xticks=at, xticklabels=["const." if number < 0 else str(number) for number in shown])
            if len(shown) > 12:
                axes.tick_params(axis="x", labelsize=7, rotation=90)
            axes.set_title(f"latent set to {_number(alpha)}", loc="left")
        line[0].set_ylabel(f"{_reading(reading)[0]}, {_draws(draws)}\nneurons")
    body.supxlabel("cluster, by falling size (const.: constant over the draws)", fontsize=9)
    marks = [Patch(color=colour, label=name) for name, colour in colours.items()]
    foot.legend(handles=marks, loc="center", ncols=min(len(marks), 8))
    return figure


@_styled
def samples(rows: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Rows of samples' images with a line of text below each.

    Each row is a mapping with `title`, `images` ([samples, height, width], grey, or [samples, height, width, 3], in
    [0, 1]), `texts` (of the images) and `marked` (images with a red frame). Raises InputError if they do not fit.
    """
    if not rows:
        return _nothing(title, "There is no sample to show.")
    most = max(len(row["images"]) for row in rows)
    tile, head, text, top = min(WIDTH / most, 1.05), 0.3, 0.24, 0.4
    height = top + len(rows) * (head + tile + text)
    figure = _Figure(figsize=(WIDTH, height), dpi=DPI)
    figure.text(0.1 / WIDTH, 1 - 0.2 / height, title, fontsize=11, va="center")
    for number, row in enumerate(rows):
        images = np.asarray(row["images"], float)
        if images.ndim not in (3, 4) or not len(images) == len(row["texts"]) == len(row["marked"]):
            raise InputError(
                f"samples: images of shape {images.shape} with {len(row['texts'])} texts and {len(row['marked'])} marks"
            )
        ceiling = height - top - number * (head + tile + text)
        figure.text(0.1 / WIDTH, (ceiling - 0.18) / height, row["title"], fontsize=9.5, va="center")
        for at, (image, below, marked) in enumerate(zip(images, row["texts"], row["marked"], strict=True)):
            axes = _place(figure, at * tile + 0.03, ceiling - head - tile + 0.06, tile - 0.06, tile - 0.06)
            axes.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(visible=True, color="#b3200e" if marked else "#b9b9b9", linewidth=1.6 if marked else 0.8)
            axes.set_xlabel(below, fontsize=7, labelpad=2)
    return figure


@_styled
def inspection(curves: Mapping[str, np.ndarray], wrong: float, title: str = "") -> Figure:
    """Share of all errors found against the share of samples inspected, by order of inspection.

    `curves` are by name the shares found, [seeds, steps] at equal steps from 0 to 1; `wrong`: share of the samples that
    is misclassified. The thick line is the median of the seeds, the band goes from the least to the greatest.
    """
    if not curves:
        return _nothing(title, "There is no order of inspection to show.")
    figure, (axes,), foot = _panels(1, 3.4, title)
    lines = []
    for (name, values), colour, dash in zip(
        curves.items(), (BLUE, ORANGE, GREEN, PURPLE, GREY), ("-", "--", "-.", ":", "-"), strict=False
    ):
        found = np.asarray(values, float)
        x = np.linspace(0, 1, found.shape[1])
        axes.fill_between(x, found.min(0), found.max(0), color=colour, alpha=0.12, linewidth=0)
        lines += axes.plot(x, np.median(found, 0), color=colour, linestyle=dash, linewidth=1.8, label=name)
    axes.axvline(wrong, color=DARK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="share of the samples inspected (dotted: as many as are misclassified)", ylabel="errors found")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]))
    axes.xaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.3g}" if share < 0.01 else f"{share:.0%}"))
    axes.grid(color="#e4e4e4", linewidth=0.6)
    foot.legend(handles=lines, loc="center", ncols=len(lines))
    return figure


@_styled
def histograms(panels: Sequence[Mapping[str, Any]], names: tuple[str, str], title: str = "") -> Figure:
    """Two distributions in every panel, as histograms of 40 bins that both share, and how far they are apart.

    Each panel is a mapping with `title`, `label` (of the axis), `values` (two arrays), and `text`.
    """
    if not panels:
        return _nothing(title, "There is no distribution to show.")
    figure, grid, foot = _panels(len(panels), 2.3, title)
    for axes, panel in zip(grid, panels, strict=True):
        values = [np.asarray(part, float) for part in panel["values"]]
        both = np.concatenate(values)
        # A few far values would leave the rest a bar or two: they are in the last bins.
        low, high = np.quantile(both, [0.002, 0.998])
        edges = np.linspace(low, high if high > low else low + 1, 41)
        for part, colour, hatch in zip(values, (BLUE, ORANGE), ("", "////"), strict=True):
            weights = np.full(len(part), 1 / max(len(part), 1))
            axes.hist(
                np.clip(part, edges[0], edges[-1]),
                edges.tolist(),
                weights=weights,
                color=colour,
                alpha=0.5,
                hatch=hatch,
                edgecolor=colour,
                linewidth=0.4,
            )
        axes.set_title(panel["title"], loc="left")
        axes.set(xlabel=panel["label"], ylabel="share")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.text(0.98, 0.95, panel["text"], transform=axes.transAxes, ha="right", va="top", fontsize=8)
    marks = [
        Patch(facecolor=colour, alpha=0.5, hatch=hatch, edgecolor=colour, label=name)
        for name, colour, hatch in zip(names, (BLUE, ORANGE), ("", "////"), strict=True)
    ]
    foot.legend(handles=marks, loc="center", ncols=2)
    return figure


@_styled
def published(
    effect: np.ndarray, published: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = ""
) -> Figure:
    """Effects on the pixels from common draws, and below each the same effects as published: few, fresh draws an alpha.

    Both are latents, alphas, height, width. Raises InputError if the shapes do not fit.
    """
    ours, theirs = _tiles("effect", effect, 4), _tiles("published", published, 4)
    if ours.shape != theirs.shape:
        raise InputError(
            f"published: the effects are {ours.shape} and the published ones {theirs.shape}; they must be alike"
        )
    _lengths("published", ours, names, alphas)
    tiles = np.stack([ours, theirs], axis=1).reshape(-1, *ours.shape[1:])
    rows = [text for name in names for text in (f"{name}\ncommon draws", f"{name}\nas published")]
    return _pictures(
        tiles,
        rows,
        _numbers(alphas),
        title or "Effects from common draws, and as published",
        "latent set to (its prior's standard deviations)",
        "effect (pixel brightness, 0 to 1)",
        label=1.45,
    )


@_styled
def regions(networks: pd.DataFrame, reported: Mapping[str, float] | None = None, title: str = "") -> Figure:
    """How many regions the seeds have, and how well they classify: two histograms, coloured by what a seed learned.

    `networks` has a row a seed: seed, regions, accuracy, solved, collapsed. `reported` may give a paper's numbers of
    `regions` and `accuracy`. Raises InputError if a column is missing.
    """
    _columns("regions", networks, ["seed", "regions", "accuracy", "solved", "collapsed"])
    theirs = reported or {}
    kinds = {
        "all samples right": (networks["solved"] == 1, BLUE),
        "some wrong": ((networks["solved"] != 1) & (networks["collapsed"] != 1), SKY),
        "all taken for one class": (networks["collapsed"] == 1, GREY),
    }
    kinds = {name: kind for name, kind in kinds.items() if kind[0].any()}
    seeds = len(networks)
    figure, body, foot = _framed(3.6, title or f"Regions of {seeds} seed{'s' * (seeds > 1)}, and their accuracy")
    left, right = body.subplots(1, 2, width_ratios=[3, 2])
    counts = networks["regions"].to_numpy(float)
    most = max(counts.max(), theirs.get("regions", 0))
    wide = most > 30
    bins = np.geomspace(0.9, most * 1.1, 24) if wide else np.arange(0.5, most + 1)
    edges = [bins, np.linspace(min(networks["accuracy"].min(), 0.95) - 0.0125, 1.0, 25)]
    for axes, column, of in ((left, "regions", edges[0]), (right, "accuracy", edges[1])):
        base = np.zeros(len(of) - 1)
        for name, (here, colour) in kinds.items():
            high = np.histogram(networks.loc[here, column], of)[0]
            axes.bar(of[:-1], high, np.diff(of), bottom=base, align="edge", color=colour, edgecolor="white", label=name)
            base += high
        if column in theirs:
            axes.axvline(theirs[column], color="black", linewidth=1.6, linestyle="--")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(0, base.max() * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if wide:
        left.set_xscale("log")
        left.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    else:
        left.set(xticks=range(1, int(most) + 1), xlim=(0.4, most + 0.6))
    left.set_xlabel("regions")
    left.set_ylabel("seeds")
    right.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    right.xaxis.set_major_locator(MaxNLocator(5))
    right.set_xlabel("samples classified right")
    marks: list[Line2D | Patch] = [Patch(color=colour, label=name) for name, (_, colour) in kinds.items()]
    if theirs:
        marks.append(Line2D([], [], color="black", linewidth=1.6, linestyle="--", label="reported in the paper"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def importance(rows: Sequence[Mapping[str, Any]], features: Sequence[str], flagged: Sequence[bool] = ()) -> Figure:
    """Weights of the features in the affine map of each region: bars, a row of panels a network, a column a region.

    Each row is a mapping with `title` and `regions`, a sequence of mappings with `title` (a line or two), `weights` [d]
    and `spread` [d], the weights times the features' standard deviations, which are drawn as marks, scaled so that the
    largest is as long as the longest bar. `flagged` features are correlated with others. Features of networks with more
    than 12 of them are left out, the least important first. Raises InputError if the lengths do not fit.
    """
    d = len(features)
    flags = list(flagged) or [False] * d
    for row in rows:
        for region in row["regions"]:
            if len(region["weights"]) != d or len(region["spread"]) != d or len(flags) != d:
                raise InputError(f"importance: {len(region['weights'])} weights and {len(flags)} flags of {d} features")
    if not rows or not all(row["regions"] for row in rows):
        raise InputError("importance: got no regions, nothing can be drawn")
    total = np.sum([np.abs(region["weights"]) for row in rows for region in row["regions"]], axis=0)
    shown = np.sort(np.argsort(-total, kind="stable")[:12])
    names = [f"{features[at]}*" if flags[at] else features[at] for at in shown]
    across = max(len(row["regions"]) for row in rows)
    tall = 0.75 + 0.19 * len(shown)
    figure = _Figure(figsize=(WIDTH, 0.4 + (tall + 0.42) * len(rows)), dpi=DPI, layout="constrained")
    heights = [*[tall + 0.42] * len(rows), 0.4]
    *parts, foot = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    at = np.arange(len(shown))
    for part, row in zip(parts, rows, strict=True):
        part.suptitle(row["title"], x=0.01, ha="left", fontsize=10.5)
        grid = part.subplots(1, across, squeeze=False)[0]
        for axes, region in zip(grid, row["regions"], strict=False):
            weights, spread = (np.asarray(region[key], float)[shown] for key in ("weights", "spread"))
            longest = np.abs(weights).max()
            if longest == 0:
                axes.text(
                    0.5,
                    0.5,
                    "all weights\nare 0",
                    transform=axes.transAxes,
                    ha="center",
                    va="center",
                    color=GREY,
                    backgroundcolor="white",
                )
            if np.abs(spread).max() > 0:
                axes.plot(spread * longest / np.abs(spread).max(), at, "D", color=DARK, markerfacecolor="white", ms=4)
            axes.barh(at, weights, color=np.where(weights > 0, BLUE, ORANGE), height=0.72, zorder=1)
            axes.axvline(0, color=DARK, linewidth=0.8)
            axes.set(yticks=at, yticklabels=names if axes is grid[0] else [], ylim=(len(shown) - 0.4, -0.6))
            axes.set_xlim(*(np.array([-1.12, 1.12]) * (longest or 1.0)))
            axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True) if longest else FixedLocator([0]))
            axes.tick_params(axis="y", length=0)
            axes.set_title(region["title"], fontsize=8.5, loc="left")
        for axes in grid[len(row["regions"]) :]:
            axes.remove()
    marks: list[Line2D | Patch] = [
        Patch(color=BLUE, label="weight, towards class 1"),
        Patch(color=ORANGE, label="towards class 0"),
        Line2D(
            [],
            [],
            color=DARK,
            marker="D",
            markerfacecolor="white",
            linestyle="none",
            ms=4,
            label="times the spread, scaled",
        ),
    ]
    if any(flags):
        marks.append(Line2D([], [], linestyle="none", label="* correlated with another"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def errors(selections: pd.DataFrame, curves: pd.DataFrame, main: Mapping[str, Any], reported: pd.DataFrame) -> Figure:
    """Test error of the nearest neighbour among selected samples against their number: a panel a kernel and role.

    `selections` has a row a seed, selection and count: seed, method, function, variant, k, p, role, quota, order,
    threshold, count, error; `curves` one a seed and selection, with its mean error. MARGIN's readings with a filter are
    a band; of them the main reading's (`main`: variant, k, p) with the least and the greatest mean error, and the best
    of all, are lines, medians over the seeds; so are f alone (its best), MMD-critic and random choice. `reported` may
    give a paper's: method, function, role, count, error. Raises InputError if a column is missing.
    """
    keys = ["function", "variant", "k", "p", "method", "role", "quota", "order", "threshold"]
    _columns("errors", selections, ["seed", *keys, "count", "error"])
    _columns("errors: curves", curves, ["seed", *keys, "error"])
    middle = selections.groupby([*keys, "count"])["error"].median()
    mean = curves.groupby(keys)["error"].median().reset_index()
    functions = sorted(mean.loc[mean["method"] == "margin", "function"].unique())
    roles = [role for role in ("prototypes", "criticisms") if (mean["role"] == role).any()]
    figure, panels, foot = _panels(len(functions) * len(roles), 2.7, "Test error of the nearest selected sample", 0.7)
    cells = [(role, function) for role in roles for function in functions]
    for axes, (role, function) in zip(panels, cells, strict=True):
        here = mean[(mean["role"] == role) & (mean["function"] == function)]
        margin, critic = here[here["method"] == "margin"], here[here["method"] == "mmd-critic"]
        filtered, alone = margin[margin["variant"] != "f-alone"], margin[margin["variant"] == "f-alone"]
        own = filtered
        for name, value in main.items():
            own = own[own[name] == value]
        lines = [
            (critic, "least", "MMD-critic", ORANGE, "s", "-"),
            (mean[mean["method"] == "random"], "least", "random", GREY, "x", "-"),
            (alone, "least", "f alone, best reading", GREEN, "D", "-"),
            (filtered, "least", "MARGIN, best reading", SKY, "^", "-"),
            (own, "least", "MARGIN, best order at the main k, p", BLUE, "o", "-"),
            (own, "greatest", "MARGIN, worst order at the main k, p", BLUE, "v", ":"),
        ]
        if len(filtered):
            band = middle.reset_index().merge(filtered[keys], on=keys).groupby("count")["error"]
            axes.fill_between(band.min().index, band.min(), band.max(), color=SKY, alpha=0.2, linewidth=0)
        for rows, which, label, colour, mark, dash in lines:
            if rows.empty:
                continue
            row = rows.sort_values("error").iloc[0 if which == "least" else -1]
            line = middle.loc[tuple(row[key] for key in keys)]
            axes.plot(line.index, line, dash, color=colour, marker=mark, markersize=4, linewidth=1.5, label=label)
        for method, colour in (("margin", "black"), ("mmd-critic", ORANGE)):
            theirs = _where(reported, {"method": method, "function": function, "role": role})
            if len(theirs):
                name = "MARGIN" if method == "margin" else "MMD-critic"
                label = f"{name}, reported"
                axes.plot(theirs["count"], theirs["error"], "--", color=colour, linewidth=1.3, label=label)
        axes.set_title(f"{role}, {function}", loc="left")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.yaxis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2, 0.4, 0.8]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("selected samples")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("wrong on the test split")
    marks: dict[str, Any] = {}
    for axes in panels:
        marks |= {str(line.get_label()): line for line in axes.get_lines()}
    marks["all of MARGIN's readings"] = Patch(color=SKY, alpha=0.3)
    foot.legend(marks.values(), marks.keys(), loc="center", ncols=3, fontsize=7.5)
    return figure


@_styled
def selections(images: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Selected samples, a row a selection, first to last.

    `images` is selections, samples, height, width in [0, 1]; `names` of the rows. Raises InputError if the shapes do
    not fit.
    """
    tiles = _tiles("images", images, 4)
    if len(names) != len(tiles):
        raise InputError(f"selections: {len(tiles)} rows of images take as many names, not {len(names)}")
    columns = [str(number + 1) for number in range(tiles.shape[1])]
    return _pictures(tiles, names, columns, title, "in the order of their choice", label=1.9)


# Of methods that look for wrong labels: name, colour, dash, width.
_AUDITS = {
    ("margin", "symmetric"): ("MARGIN, high-pass", BLUE, "-", 2.4),
    ("margin", "random-walk"): ("MARGIN, random walk", SKY, "-", 1.5),
    ("margin", "as-published"): ("the printed listing", PURPLE, "-", 1.8),
    ("margin", "f-alone"): ("f alone", GREEN, "--", 1.8),
    ("knn-loss", ""): ("nearest neighbours' loss", GREEN, ":", 1.5),
    ("influence-function", ""): ("influence function", ORANGE, "-", 1.8),
    ("loss", ""): ("loss", YELLOW, ":", 1.5),
    ("cross-validated-loss", ""): ("cross-validated loss", YELLOW, "-", 1.5),
    ("cleanlab", ""): ("cleanlab", YELLOW, "--", 1.5),
    ("random", ""): ("random", GREY, "-", 1.2),
    ("oracle", ""): ("oracle", "black", ":", 1.2),
}


@_styled
def recall(methods: pd.DataFrame, main: Mapping[str, Any], at: float) -> Figure:
    """Wrong labels found against the share of samples inspected, a line a method: medians over the seeds.

    `methods` has a row a seed, method, reading and share: seed, method, variant, k, p, share, recall. Left: each method
    at the main k (and p, where it has one). Right: at the share nearest to `at`, MARGIN's filters and f alone by k, a
    line a number of hops. Raises InputError if a column is missing.
    """
    _columns("recall", methods, ["seed", "method", "variant", "k", "p", "share", "recall"])
    middle = methods.groupby(["method", "variant", "k", "p", "share"])["recall"].median().reset_index()
    seeds = methods["seed"].nunique()
    title = f"Wrong labels found, median of {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = _framed(4.3, title, 0.5)
    left, right = body.subplots(1, 2, width_ratios=[3, 2])
    for (method, variant), (label, colour, dash, width) in _AUDITS.items():
        rows = middle[(middle["method"] == method) & (middle["variant"] == variant)]
        rows = rows[rows["k"].isin([0, main["k"]]) & rows["p"].isin([0, main["p"]])]
        if len(rows):
            left.plot([0, *rows["share"]], [0, *rows["recall"]], dash, color=colour, linewidth=width, label=label)
    nearest = min(middle["share"].unique(), key=lambda share: abs(share - at))
    hops: dict[float, Line2D] = {}
    for variant in ("symmetric", "random-walk", "as-published", "f-alone"):
        rows = middle[(middle["method"] == "margin") & (middle["variant"] == variant) & (middle["share"] == nearest)]
        _, colour, dash, _ = _AUDITS["margin", variant]
        for (p, line), mark in zip(rows.groupby("p"), "os^Dv", strict=False):
            right.plot(line["k"], line["recall"], dash, color=colour, marker=mark, markersize=4, linewidth=1.2)
            if p:
                hops[p] = Line2D([], [], color="#555555", marker=mark, markersize=4, linewidth=0, label=f"p = {p:g}")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(0, 1.03)
    left.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    left.set(xlim=(0, 1), xlabel="samples inspected", ylabel="wrong labels found")
    right.set(xlabel="neighbours k", title=f"by k, when {nearest:.0%} is inspected")
    right.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    right.margins(x=0.15)
    right.legend(handles=list(hops.values()), loc="lower left", ncols=3, fontsize=7, handletextpad=0.2)
    marks, names = left.get_legend_handles_labels()
    foot.legend(marks, names, loc="center", ncols=6, fontsize=7.5, columnspacing=1.2)
    return figure


@_styled
def merging(path: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Share of the predictions that merged regions keep, against their number: a line a seed, and their median, by the
    principle of merging; beside it the number that was chosen against the regions that a seed had.

    `path` has the columns of merging.parquet: seed, principle, regions, fidelity, chosen; `networks` a row a seed, with
    regions. Raises InputError if a column is missing.
    """
    _columns("merging", path, ["seed", "principle", "regions", "fidelity", "chosen"])
    _columns("merging: networks", networks, ["seed", "regions"])
    seeds = path["seed"].nunique()
    figure, body, foot = _framed(3.8, f"Merging the regions of {seeds} seed{'s' * (seeds > 1)}")
    left, right = body.subplots(1, 2, width_ratios=[3, 2])
    before = networks.set_index("seed")["regions"]
    marks: list[Line2D] = []
    for principle, colour, marker, dash in (("entropy", BLUE, "o", "-"), ("orthogonality", ORANGE, "s", "--")):
        own = path[path["principle"] == principle]
        if own.empty:
            continue
        for _, line in own.groupby("seed"):
            left.plot(line["regions"], line["fidelity"], dash, color=colour, linewidth=0.5, alpha=0.3, zorder=1)
        # A seed that has fewer regions than that keeps all of them.
        table = own.pivot(index="regions", columns="seed", values="fidelity").sort_index().bfill().ffill()
        middle = table.median(axis=1)
        left.plot(middle.index, middle, dash, color=colour, linewidth=2.2, zorder=3)
        dots = own[own["chosen"].astype(bool)]
        places = pd.DataFrame({"x": dots["seed"].map(before), "y": dots["regions"]}).value_counts().reset_index()
        right.scatter(
            places["x"], places["y"], s=14 + 220 * places["count"] / seeds, marker=marker, edgecolor=colour,
            linewidth=1.4, facecolor="none", alpha=0.9,
        )  # fmt: skip
        (mark,) = left.plot([], [], dash, color=colour, linewidth=2, label=f"{principle} (thin: a seed)")
        marks.append(mark)
        shown = Line2D(
            [], [], color=colour, marker=marker, linestyle="none", fillstyle="none", label=f"chosen by {principle}"
        )
        marks.append(shown)
    left.set_ylabel("predictions kept")
    left.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g}%"))
    left.set_xlabel("merged regions")
    right.set_xlabel("regions of a seed")
    right.set_ylabel("merged regions that were chosen")
    most = {left: float(path["regions"].max()), right: float(before.max())}
    for axes, greatest in most.items():
        if greatest > 30:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlim(0.5, greatest + 0.5)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    right.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    right.set_ylim(0, float(path.loc[path["chosen"].astype(bool), "regions"].max()) * 1.15)
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@_styled
def borders(quantiles: Mapping[int, np.ndarray], regions: pd.DataFrame) -> Figure:
    """How far samples lie from the border of their region: its distribution by seed, and by region.

    `quantiles` are by seed the distances at equal steps of probability from 0 to 1; `regions` has a row a region: seed,
    support, border (median distance), classes and predicted. Raises InputError if a column is missing.
    """
    _columns("borders", regions, ["seed", "support", "border", "classes", "predicted"])
    if not quantiles:
        raise InputError("borders: got no distances, nothing can be drawn")
    seeds = len(quantiles)
    title = f"Distance of samples to the border of their region, {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = _framed(3.7, title)
    left, right = body.subplots(1, 2)
    curves = {seed: np.asarray(values, float) for seed, values in quantiles.items()}
    finite = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in curves.values()])
    # What lies further out is drawn at the edge: a network that is all but dead has no border for miles.
    high = float(np.quantile([values.max() for values in curves.values()], 0.9, method="lower"))
    high = high if np.isfinite(high) and high > 0 else 1.0
    low = max(float(np.quantile(finite, 0.01)), high * 1e-4) if len(finite) else high * 1e-4
    for values in curves.values():
        left.plot(np.clip(values, low, high), np.linspace(0, 1, len(values)), color=SKY, linewidth=0.7, alpha=0.7)
    middle = np.median(np.stack(list(curves.values())), axis=0)
    left.plot(np.clip(middle, low, high), np.linspace(0, 1, len(middle)), color=BLUE, linewidth=2.2)
    left.set_ylabel("share of samples that are nearer")
    left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    kinds = {
        "taken for several classes": (regions["classes"] > 1, GREEN, "s"),
        "all taken for class 1": ((regions["classes"] == 1) & (regions["predicted"] == 1), BLUE, "o"),
        "all taken for class 0": ((regions["classes"] == 1) & (regions["predicted"] == 0), ORANGE, "^"),
        "all taken for another": ((regions["classes"] == 1) & (regions["predicted"] > 1), GREY, "D"),
    }
    marks: list[Line2D] = [
        Line2D([], [], color=SKY, label="a seed"),
        Line2D([], [], color=BLUE, lw=2.2, label="median"),
    ]
    for name, (here, colour, marker) in kinds.items():
        part = regions[here & regions["border"].notna()]
        if len(part):
            right.plot(part["border"].clip(low, high), part["support"], marker, color=colour, ms=4.5, alpha=0.65, mew=0)
            marks.append(Line2D([], [], color=colour, marker=marker, linestyle="none", label=name))
    right.set_yscale("log")
    right.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: f"{y:.3g}" if y < 0.001 else f"{y:.1%}".replace(".0%", "%"))
    )
    right.set_ylabel("support of a region")
    left.set_xlabel("distance to the nearest border")
    right.set_xlabel("median distance of its samples")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


WAYS = {
    "symmetric": "MARGIN",
    "random-walk": "MARGIN, random walk",
    "as-published": "the printed listing",
    "f-alone": "f alone, no graph",
    "random": "random",
    "resampling": "probabilistic resampling",
    "degree": "degree",
    "pagerank": "PageRank",
    "masking": "masking effect alone",
    "influence": "influence",
    "grad-cam": "Grad-CAM",
    "occlusion": "occlusion",
}


@_styled
def labels(metrics: pd.DataFrame) -> Figure:
    """Accuracy over the number of labels: MARGIN against each other way of choosing what is labelled, a panel each.

    `metrics` has a row a seed, way and number of labels: seed, method, p, labels, accuracy. Lines are medians over the
    seeds; bands their 95 % intervals, or with fewer than 6 seeds least to greatest; `all` is a line across. Raises
    InputError if a column is missing, or nothing was chosen by MARGIN.
    """
    _columns("labels", metrics, ["seed", "method", "p", "labels", "accuracy"])
    ways: dict[Any, pd.DataFrame] = dict(iter(metrics[metrics["method"] != "all"].groupby(["method", "p"], sort=False)))
    own = next((key for key in ways if key[0] == "symmetric"), None)
    if own is None:
        raise InputError("labels: got no rows of the method symmetric, nothing can be compared")
    others = [key for key in ways if key != own]
    everything = metrics.loc[metrics["method"] == "all", "accuracy"]
    seeds = metrics["seed"].nunique()
    across = 3
    down = -(-len(others) // across)
    title = f"Accuracy by what is labelled, {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = _framed(0.8 + 1.9 * down, title)
    grid = list(body.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    for axes in grid[len(others) :]:
        axes.remove()
    for axes, key in zip(grid, others, strict=False):
        for way, colour, marker in ((own, BLUE, "o"), (key, ORANGE, "s")):
            by_count = {count: part["accuracy"] for count, part in ways[way].groupby("labels")}
            x = list(by_count)
            low, high = zip(*(_interval(values) for values in by_count.values()), strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0)
            axes.plot(x, [values.median() for values in by_count.values()], color=colour, marker=marker, ms=3.5)
        if len(everything):
            axes.axhline(everything.median(), color=GREY, linestyle="--", linewidth=1.2)
        axes.set_title(WAYS[key[0]] + (f", p = {key[1]}" if key[1] > 1 else ""))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    body.supxlabel("labelled nodes", fontsize=9)
    body.supylabel("test nodes classified right", fontsize=9)
    marks = [
        Line2D([], [], color=BLUE, marker="o", ms=4, label="MARGIN, p = 1" if own[1] == 1 else f"MARGIN, p = {own[1]}"),
        Line2D([], [], color=ORANGE, marker="s", ms=4, label="the panel's"),
        Line2D([], [], color=GREY, linestyle="--", label="all nodes labelled"),
    ]
    foot.legend(handles=marks[: 3 if len(everything) else 2], loc="center", ncols=3)
    return figure


@_styled
def overlays(photos: Sequence[np.ndarray], maps: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> Figure:
    """Photos and, over each, its saliency maps, a column a method; each map from its least to its greatest value.

    `photos` are uint8 [h, w] or [h, w, 3]; `maps` by method [h, w], of the same methods for each. Raises InputError if
    the shapes do not fit.
    """
    if not photos or not len(photos) == len(maps) == len(names):
        raise InputError(f"overlays: got {len(photos)} photos, {len(maps)} sets of maps and {len(names)} names")
    methods = list(maps[0])
    tile = min(1.25, (WIDTH - 0.9) / (len(methods) + 1))
    width, height = 0.9 + tile * (len(methods) + 1), 0.75 + tile * len(photos)
    figure = _Figure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.2 / height, "Saliency of the predicted class", fontsize=11, va="center")
    colours = mpl.colormaps["inferno"]
    for row, (photo, own, name) in enumerate(zip(photos, maps, names, strict=True)):
        seen = np.asarray(photo, float) / 255
        grey = seen if seen.ndim == 2 else seen @ [0.299, 0.587, 0.114]
        for column, method in enumerate(["", *methods]):
            axes = _place(figure, 0.85 + tile * column, height - 0.7 - tile * (row + 1), tile * 0.97, tile * 0.97)
            if column == 0:
                picture = seen if seen.ndim == 3 else np.repeat(grey[..., None], 3, 2)
                axes.set_ylabel(name, fontsize=8)
            else:
                if own[method].shape != grey.shape:
                    raise InputError(f"overlays: map {method} is {list(own[method].shape)}, photo {list(grey.shape)}")
                least, most = float(own[method].min()), float(own[method].max())
                heat = (own[method] - least) / (most - least) if most > least else np.zeros(grey.shape)
                picture = 0.35 * grey[..., None] + 0.65 * colours(heat)[..., :3]
            axes.imshow(picture, vmin=0, vmax=1, interpolation="nearest", aspect="auto")
            axes.set(xticks=[], yticks=[])
            _frame(axes)
            if row == 0:
                axes.set_title(fill(WAYS.get(method, method or "image"), 14), fontsize=8)
    return figure


@_styled
def judged(metrics: pd.DataFrame, measures: Mapping[str, str]) -> Figure:
    """How good saliency maps are: a panel a measure, a row a map, median and interval over the photos.

    `metrics` has a row a photo and map: seed, method, k, p, and the measures; `measures` gives their names for people.
    Raises InputError if a column is missing.
    """
    _columns("judged", metrics, ["seed", "method", "k", "p", *measures])
    groups: list[tuple[Any, pd.DataFrame]] = list(metrics.groupby(["method", "k", "p"], sort=False))
    names = [WAYS[method] + (f", k {k}, p {p}" if k else "") for (method, k, p), _ in groups]
    photos = metrics["seed"].nunique()
    title = f"Saliency maps, {photos} image{'s' * (photos > 1)}: median and interval"
    figure = _Figure(figsize=(WIDTH, 1.0 + 0.24 * len(groups)), dpi=DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, (measure, label) in zip(panels, measures.items(), strict=True):
        for at, ((_, k, _), part) in enumerate(groups):
            colour = BLUE if k else ORANGE
            axes.hlines(at, *_interval(part[measure]), color=colour, linewidth=2)
            axes.plot(part[measure].median(), at, marker="o" if k else "s", color=colour, ms=5)
        axes.set_xlabel(label)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set(yticks=range(len(names)), yticklabels=names)
    panels[0].invert_yaxis()
    return figure


def _interval(values: pd.Series) -> tuple[float, float]:
    """Of the median at 95 %, or least and greatest of fewer than 6 values, as in the ledger."""
    return median_interval(values) if len(values) >= 6 else (float(values.min()), float(values.max()))


def _pictures(
    tiles: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    axis: str,
    bar: str = "",
    label: float = 1.3,
) -> Figure:
    """A mosaic with names at its left and below; with a colour bar (and a diverging scale) if `bar` says of what."""
    right = 0.95 if bar else 0.15
    top, foot = 0.45, 0.6
    tile = min((WIDTH - label - right) / tiles.shape[1], 1.0)
    tile = min(tile, 9.0 / len(tiles))
    width, height = max(label + tile * tiles.shape[1] + right, 4.4), top + foot + tile * len(tiles)
    figure = _Figure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.22 / height, title, fontsize=11, va="center")
    axes = _place(figure, label, foot, tile * tiles.shape[1], tile * len(tiles))
    limit = _limit(tiles) if bar else 1.0
    picture = _mosaic(axes, tiles, rows, columns, "RdBu_r" if bar else "gray", -limit if bar else 0.0, limit)
    axes.set_xlabel(axis)
    if bar:
        tall = max(tile * len(tiles), 1.1)
        _bar(figure, picture, width - right + 0.1, max(foot + tile * len(tiles) - tall, 0.1), tall, bar)
    return figure


def _mosaic(
    axes: Axes, tiles: np.ndarray, rows: Sequence[str], columns: Sequence[str], colours: str, low: float, high: float
) -> Any:
    """Draw tiles (rows, columns, height, width) as one image with thin gaps, with names at the tiles' middles."""
    across, down = tiles.shape[3] + 1, tiles.shape[2] + 1
    sheet = np.full((tiles.shape[0] * down, tiles.shape[1] * across), np.nan)
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            sheet[row * down : row * down + down - 1, column * across : column * across + across - 1] = tiles[
                row, column
            ]
    picture = axes.imshow(
        sheet[:-1, :-1],
        cmap=mpl.colormaps[colours].with_extremes(bad="#b9b9b9"),
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xticks=(np.arange(tiles.shape[1]) + 0.5) * across - 1, xticklabels=columns)
    axes.set(yticks=(np.arange(tiles.shape[0]) + 0.5) * down - 1, yticklabels=rows)
    axes.tick_params(length=0, pad=4)
    _frame(axes)
    return picture


def _swarm(
    axes: Axes,
    table: pd.DataFrame,
    column: str,
    positions: Mapping[float, int],
    seeds: Sequence[int],
    colour: str,
    marker: str,
) -> None:
    """A mark a seed, beside each other at every position (hollow: not converged), and a bar at their median."""
    spread = {seed: (at - (len(seeds) - 1) / 2) * 0.62 / max(len(seeds), 4) for at, seed in enumerate(seeds)}
    for converged, face in ((True, colour), (False, "white")):
        part = table[table["converged"].astype(bool) == converged]
        x = [positions[alpha] + spread[seed] for alpha, seed in zip(part["alpha"], part["seed"], strict=True)]
        axes.scatter(
            x, part[column], s=20, marker=marker, facecolor=face, edgecolor=colour, linewidth=1, alpha=0.85, zorder=3
        )
    for alpha, values in table.groupby("alpha")[column]:
        at = positions[float(alpha)]  # type: ignore[arg-type]
        axes.hlines(float(values.median()), at - 0.4, at + 0.4, color=colour, linewidth=1.4, zorder=2)


def _mark(label: str, fill: str = DARK, size: int = 5) -> Line2D:
    """A round mark for a legend."""
    return Line2D([], [], color=DARK, marker="o", markerfacecolor=fill, linestyle="none", markersize=size, label=label)


def _swarm_legend() -> list[Line2D | Patch]:
    return [
        _mark("a seed, converged"),
        _mark("not converged", "white"),
        Line2D([], [], color=DARK, linewidth=1.4, label="median"),
    ]


def _panel(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots()


def _framed(height: float, title: str, below: float = 0.3) -> tuple[Figure, SubFigure, SubFigure]:
    """A figure with its title, and its two parts: the panels' and, `below` inches high, the legend's."""
    figure = _Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    body, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=[height - below, below])[:, 0]
    body.suptitle(title, x=0.01, ha="left")
    return figure, body, foot


def _nothing(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to see: that nothing was found is a result too."""
    figure = _Figure(figsize=(WIDTH, 1.2), dpi=DPI)
    figure.text(0.01, 0.78, title, fontsize=11, va="center")
    figure.text(0.01, 0.35, sentence, color=ORANGE, va="center")
    return figure


def _panels(count: int, height: float, title: str, below: float = 0.3) -> tuple[Figure, list[Axes], SubFigure]:
    """`count` panels, two a row; the cells left over stay empty."""
    across = min(2, count)
    down = -(-count // across)
    figure, body, foot = _framed(0.45 + below + height * down, title, below)
    grid = list(body.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count], foot


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def _bar(figure: Figure, picture: Any, left: float, bottom: float, height: float, label: str) -> None:
    axes = _place(figure, left, bottom, 0.14, height)
    figure.colorbar(picture, cax=axes).set_label(label, fontsize=8.5 if height > 2 else 7)


def _frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, color="#b9b9b9", linewidth=0.8)


def _plain_log(axes: Axes, values: Iterable[float]) -> None:
    """Ticks at 1, 2, 5, 10, ... written out, and limits around the values."""
    numbers = np.asarray([value for value in values if value > 0], dtype=float)
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (1.0, 10.0)
    axes.set_ylim(low / 1.35, high * 1.6)
    steps = [digit * 10.0**power for power in range(6) for digit in ((1, 2, 5) if high / low < 100 else (1,))]
    axes.yaxis.set_major_locator(FixedLocator([step for step in steps if low / 1.35 <= step <= high * 1.6]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _reading(name: str) -> tuple[str, str, str]:
    return READINGS.get(name, (name, DARK, "o"))


def _readings(table: pd.DataFrame) -> list[tuple[str, int]]:
    """The pairs (reading, draws) of a table, activations first."""
    order = list(READINGS)
    pairs = {(str(reading), int(draws)) for reading, draws in zip(table["reading"], table["draws"], strict=True)}
    return sorted(pairs, key=lambda pair: (order.index(pair[0]) if pair[0] in order else len(order), pair[0], -pair[1]))


def _draws(draws: int) -> str:
    return f"{draws:,} draws" if draws > 0 else "all draws"


def _where(table: pd.DataFrame, equal: Mapping[str, Any]) -> pd.DataFrame:
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def _some(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of the values, evenly apart, with the first and the last."""
    at = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[index] for index in at]


def _limit(values: np.ndarray) -> float:
    """End of a colour scale that is even around 0."""
    return float(np.abs(values).max()) or 1.0


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _numbers(values: Iterable[float]) -> list[str]:
    return [_number(value) for value in values]


def _tiles(name: str, images: np.ndarray, dimensions: int) -> np.ndarray:
    tiles = np.asarray(images, dtype=float)
    if tiles.ndim != dimensions or 0 in tiles.shape:
        axes = "latents, alphas, height, width" if dimensions == 4 else "classes, height, width"
        raise InputError(f"{name} is {tiles.shape}; a figure takes {axes}, none of them 0")
    if not np.isfinite(tiles).all():
        raise InputError(
            f"{name} holds {int((~np.isfinite(tiles)).sum())} values that are not finite; a figure takes none"
        )
    return tiles


def _lengths(figure: str, tiles: np.ndarray, names: Sequence[str], alphas: Sequence[float]) -> None:
    if (len(names), len(alphas)) != tiles.shape[:2]:
        raise InputError(
            f"{figure}: {len(names)} names and {len(alphas)} alphas do not fit images of {tiles.shape[0]} rows and "
            f"{tiles.shape[1]} columns"
        )


def _columns(figure: str, table: pd.DataFrame, columns: Sequence[str], empty: bool = False) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{figure}: the table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if table.empty and not empty:
        raise InputError(f"{figure}: the table has no rows, nothing can be drawn")


def _reported(figure: str, table: pd.DataFrame | None, columns: list[str]) -> pd.DataFrame:
    if table is None or table.empty:
        return pd.DataFrame({column: pd.Series(dtype=object) for column in columns})
    _columns(f"{figure}: reported", table, columns)
    return table


def _seed(table: pd.DataFrame, seed: int | None) -> int:
    seeds = sorted(int(value) for value in table["seed"].unique())
    if seed is None:
        return seeds[0]
    if seed not in seeds:
        raise InputError(f"seed {seed} is not in the table; it has {', '.join(map(str, seeds))}")
    return seed
