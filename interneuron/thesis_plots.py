"""Figures of causal effects, clusters and lesions: arrays and tables in, a `Figure` (or an animation's frames) out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator

from interneuron.canvas import (
    BLUE,
    DARK,
    DPI,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    WIDTH,
    YELLOW,
    StyledFigure,
    axes_at,
    check_columns,
    checked_tiles,
    colour_bar,
    colour_limit,
    draw_mosaic,
    frame_axes,
    framed_figure,
    nothing_figure,
    panel_figure,
    picture_sheet,
    plain,
    rows_where,
    styled,
    write_numbers,
)
from interneuron.errors import InputError

READINGS = {
    "activation": ("activations", BLUE, "o"),
    "A": ("effects A", ORANGE, "s"),
    "B": ("effects B", GREEN, "D"),
    "C": ("effects C", PURPLE, "^"),
}
LAYER_COLOURS = (YELLOW, SKY, BLUE, PURPLE, GREEN, ORANGE)
NONE_CONVERGED = "No clustering converged, so there are no clusters to silence."
_CLUSTERING = ["seed", "digit", "latent", "alpha", "reading", "draws"]


@styled
def traversal(images: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = "") -> Figure:
    """Decoded images, one row a latent and one column a value it is set to.

    `images` is latents, alphas, height, width in [0, 1]; `names` labels the rows.
    Raises InputError if the shapes do not fit.
    """
    tiles = checked_tiles("images", images, 4)
    _lengths("traversal", tiles, names, alphas)
    return picture_sheet(
        tiles,
        names,
        _numbers(alphas),
        title or "Decoded images as one latent moves",
        "latent set to (its prior's standard deviations)",
    )


@styled
def traversal_frames(
    images: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = ""
) -> list[np.ndarray]:
    """Frames (uint8, height, width, 3) that go through the alphas and back, every latent moving at once.

    Takes what `traversal` takes, and raises InputError likewise.
    """
    tiles = checked_tiles("images", images, 4)
    _lengths("traversal", tiles, names, alphas)
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    tile, top, foot, caption = 1.2, 0.4, 0.6, 0.26
    width, height = max(columns * tile, 4.4) + 0.2, top + rows * (tile + caption) + foot
    left = (width - columns * tile) / 2
    there = list(range(len(alphas)))
    frames: dict[int, np.ndarray] = {}
    for index in there:
        figure = StyledFigure(figsize=(width, height), dpi=100)
        canvas = FigureCanvasAgg(figure)
        figure.text(0.5, 1 - 0.2 / height, title or "Decoded images as one latent moves", ha="center", va="center")
        for number, name in enumerate(names):
            row, column = divmod(number, columns)
            bottom = height - top - row * (tile + caption) - caption - tile
            axes = axes_at(figure, left + column * tile + 0.04, bottom + 0.04, tile - 0.08, tile - 0.08)
            axes.imshow(tiles[number, index], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            x, y = (left + (column + 0.5) * tile) / width, (bottom + tile + caption / 2 - 0.02) / height
            figure.text(x, y, name, ha="center", va="center", fontsize=8.5)
        slider = axes_at(figure, 0.5, 0.4, width - 1.0, 0.12)
        slider.plot(alphas, np.zeros(len(alphas)), color=GREY, linewidth=1.5, marker="|", markersize=8)
        slider.plot([alphas[index]], [0.0], color=ORANGE, marker="o", markersize=9, clip_on=False)
        slider.set(xticks=list(alphas), xticklabels=_numbers(alphas), yticks=[], ylim=(-1, 1))
        slider.tick_params(length=0, pad=2)
        for spine in slider.spines.values():
            spine.set_visible(False)
        canvas.draw()
        frames[index] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return [frames[index] for index in there + there[-2:0:-1]]


@styled
def effects(effect: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = "") -> Figure:
    """Average causal effects on the pixels, one row a latent and one column an alpha, in one colour scale.

    `effect` is latents, alphas, height, width. Raises InputError if the shapes do not fit.
    """
    tiles = checked_tiles("effect", effect, 4)
    _lengths("effects", tiles, names, alphas)
    return picture_sheet(
        tiles,
        names,
        _numbers(alphas),
        title or "Average causal effect of a latent on the pixels",
        "latent set to (its prior's standard deviations)",
        "effect (pixel brightness, 0 to 1)",
    )


@styled
def classes(effect: np.ndarray, title: str = "") -> Figure:
    """Average causal effects of switching each class on, on the pixels, in one colour scale.

    `effect` is classes, height, width. Raises InputError if the shape does not fit.
    """
    maps = checked_tiles("effect", effect, 3)
    columns = min(5, len(maps))
    rows = -(-len(maps) // columns)
    tile, left, top, foot, bar = min(1.32, 6.6 / columns), 0.15, 0.45, 0.15, 0.95
    width, height = max(left + columns * tile + bar, 4.4), top + rows * (tile + 0.22) + foot
    figure = StyledFigure(figsize=(width, height), dpi=DPI)
    figure.text(left / width, 1 - 0.22 / height, title or "Average causal effect of a class on the pixels", fontsize=11)
    limit = colour_limit(maps)
    picture = None
    for number, image in enumerate(maps):
        row, column = divmod(number, columns)
        bottom = height - top - (row + 1) * (tile + 0.22)
        axes = axes_at(figure, left + column * tile + 0.03, bottom, tile - 0.06, tile - 0.06)
        picture = axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"do(c{number} = 1)", fontsize=9, pad=3)
        frame_axes(axes)
    colour_bar(
        figure, picture, width - bar + 0.1, foot, height - top - foot - 0.22, "effect (pixel brightness, 0 to 1)"
    )
    return figure


@styled
def kl(table: pd.DataFrame, active_above: float = 0.1) -> Figure:
    """KL divergence of every latent from its prior, in nats a sample, latents in falling order, one line a seed.

    `table` has columns seed, latent and kl. Raises InputError if one is missing or no row is there.
    """
    check_columns("kl", table, ["seed", "latent", "kl"])
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
    write_numbers(axes.yaxis)
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
    axes.legend(handles=[full, hollow], loc="best")
    return figure


@styled
def preference(sweep: pd.DataFrame, seed: int | None = None) -> Figure:
    """Number of clusters against how far the preference lies below the median similarity.

    A sweep without the median is a linear one, and is drawn against the preference itself, falling to the right.
    `sweep` is of one digit and one latent a seed; a row of panels a reading, a column an alpha (at most three). `seed`
    (default: the least) is drawn with its marks, the others are thin lines. The median itself is at distance 0, which
    a logarithmic axis lacks: it stands at the left edge. A `reported` preference is none of the sweep's, and left out.
    Raises InputError if a column or the seed is missing.
    """
    check_columns(
        "preference",
        sweep,
        [*_CLUSTERING, "preference", "clusters", "converged", "median", "plateau", "chosen", "reported"],
    )
    sweep = sweep[~sweep["reported"]]
    linear = not sweep["median"].any()
    seed = _seed(sweep, seed)
    keys = _readings(sweep)
    alphas = _some(sorted(sweep["alpha"].unique()), 3)
    table = sweep.copy()
    middle = table[table["median"]].set_index(_CLUSTERING)["preference"].rename("middle")
    table = table.join(middle[~middle.index.duplicated()], on=_CLUSTERING)
    table["distance"] = table["middle"] - table["preference"]
    edge = 0.0
    if linear:
        table["distance"] = table["preference"]
    else:
        positive = table.loc[table["distance"] > 0, "distance"]
        if positive.empty:
            raise InputError(
                "preference: no preference of the sweep lies below the median similarity, nothing can be drawn"
            )
        edge = float(positive.min()) / 3
        table["distance"] = table["distance"].where(~table["median"], edge)
        table = table[table["distance"] > 0]
    figure, body, foot = framed_figure(
        0.95 + 2.05 * len(keys), f"Number of clusters against the preference, seed {seed}"
    )
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
                ends = level["distance"].min(), level["distance"].max()
                ends = (ends[0] - 0.05, ends[1] + 0.05) if linear else (ends[0] / 1.15, ends[1] * 1.15)
                axes.axvspan(*ends, color=YELLOW, alpha=0.3, lw=0)
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
            axes.set_title(f"latent set to {plain(alpha)}", loc="left")
            axes.set_yscale("log")
            axes.grid(color="#e4e4e4", linewidth=0.6)
            if not linear:
                axes.set_xscale("log")
                axes.axvline(edge * 1.7, color=GREY, linewidth=0.8, linestyle=":")
        _plain_log(grid[row][0], own["clusters"])
        grid[row][0].set_ylabel(f"{label}, {_draws(draws)}\nclusters")
    if linear:
        grid.flat[0].invert_xaxis()
        body.supxlabel("preference", fontsize=9)
    else:
        furthest = float(table["distance"].max()) * 1.2
        ticks = [10.0**power for power in range(-6, 7) if edge * 4 <= 10.0**power <= furthest]
        for axes in grid.flat:
            axes.set_xticks([edge, *ticks], ["median", *map(plain, ticks)])
            axes.set_xticks([], minor=True)
        body.supxlabel(
            "how far the preference lies below the median similarity (beyond the dotted line: 0)", fontsize=9
        )
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


@styled
def clusters(sweep: pd.DataFrame, reported: pd.DataFrame | None = None) -> Figure:
    """Number of clusters at the chosen preference, per alpha and reading: a mark a seed, a bar at their median.

    `sweep` is of one digit and one latent a seed (its `chosen` rows are drawn); `reported` may have the ranges that a
    paper gives, in columns reading, low and high. Raises InputError if a column is missing.
    """
    check_columns("clusters", sweep, [*_CLUSTERING, "clusters", "converged", "chosen"])
    chosen = sweep[sweep["chosen"]]
    if chosen.empty:
        return nothing_figure("Clusters at the chosen preference", "No preference was chosen for any clustering.")
    theirs = _reported("clusters", reported, ["reading", "low", "high"])
    keys = _readings(chosen)
    seeds = sorted(chosen["seed"].unique())
    title = f"Clusters at the chosen preference, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    figure, panels, foot = panel_figure(len(keys), 2.75, title)
    for axes, (reading, draws) in zip(panels, keys, strict=True):
        label, colour, marker = _reading(reading)
        own = chosen[(chosen["reading"] == reading) & (chosen["draws"] == draws)]
        positions = {alpha: at for at, alpha in enumerate(sorted(chosen["alpha"].unique()))}
        _swarm(axes, own, "clusters", positions, seeds, colour, marker)
        for _, given in theirs[theirs["reading"] == reading].iterrows():
            axes.axhspan(given["low"], given["high"], color=YELLOW, alpha=0.3, lw=0)
        axes.set_title(f"{label}, {_draws(draws)}", loc="left")
        axes.set(xticks=list(positions.values()), xticklabels=_numbers(positions), xlim=(-0.6, len(positions) - 0.4))
        axes.set_xlabel("latent set to")
        axes.set_ylabel("clusters")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    both = pd.concat([chosen["clusters"], theirs["low"], theirs["high"]]).astype(float)
    for axes in panels:
        if both.max() > 40:
            axes.set_yscale("log")
            _plain_log(axes, both)
        else:
            axes.set_ylim(0, both.max() * 1.1)
            axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    marks = _swarm_legend()
    if len(theirs):
        marks.append(Patch(color=YELLOW, alpha=0.3, label="range reported in the paper"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@styled
def lesions(panels: Sequence[Mapping[str, Any]], alphas: Sequence[float], title: str = "") -> Figure:
    """Images with one cluster silenced: a row a cluster (the first: the intact decoder), a column an alpha.

    Each panel is a mapping with `title`, `images` (rows, alphas, height, width in [0, 1]), `names` (of the rows) and
    `fails` (rows whose digit is lost: a cross and a red, bold name). At most two panels stand side by side.
    Raises InputError if the shapes do not fit.
    """
    title = title or "Images with one cluster silenced"
    if not panels:
        return nothing_figure(title, NONE_CONVERGED)
    mosaics = []
    for panel in panels:
        tiles = checked_tiles("images", panel["images"], 4)
        _lengths("lesions", tiles, panel["names"], alphas)
        mosaics.append(tiles)
    across = min(2, len(panels))
    label, gap, top, foot, head = 1.65, 0.1, 0.35, 0.5, 0.32
    tile = min((WIDTH - across * (label + gap)) / (across * len(alphas)), 0.62)
    lines = [list(range(start, min(start + across, len(panels)))) for start in range(0, len(panels), across)]
    heights = [max(len(mosaics[at]) for at in line) * tile + head + foot for line in lines]
    width, height = max(across * (label + gap + tile * len(alphas)), 4.4), top + sum(heights)
    figure = StyledFigure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.2 / height, title, fontsize=11, va="center")
    ceiling = height - top
    for line, tall in zip(lines, heights, strict=True):
        for column, at in enumerate(line):
            tiles, panel = mosaics[at], panels[at]
            left = column * (label + gap + tile * len(alphas)) + label
            bottom = ceiling - head - len(tiles) * tile
            axes = axes_at(figure, left, bottom, tile * len(alphas), len(tiles) * tile)
            names = [
                f"\N{BALLOT X} {name}" if fails else name
                for name, fails in zip(panel["names"], panel["fails"], strict=True)
            ]
            draw_mosaic(axes, tiles, names, _numbers(alphas), "gray", 0, 1)
            for text, fails in zip(axes.get_yticklabels(), panel["fails"], strict=True):
                if fails:
                    text.set(color="#b3200e", fontweight="bold")
            axes.set_title(panel["title"], loc="left", x=-label / (tile * len(alphas)) + 0.02)
            axes.set_xlabel("latent set to", labelpad=2)
        ceiling -= tall
    return figure


@styled
def sizes(lesions: pd.DataFrame, reported: pd.DataFrame | None = None) -> Figure:
    """Neurons in the important cluster of every reading, and in the critical cluster, per alpha: a mark a seed.

    `lesions` is of one digit, one latent a seed, one scope and one ablation; `reported` may have a paper's ranges, in
    columns set, reading, low and high (set `hidden`: the critical cluster's hidden neurons; an empty reading: any).
    Raises InputError if a column is missing.
    """
    check_columns("sizes", lesions, [*_CLUSTERING, "set", "neurons", "hidden", "converged"], empty=True)
    theirs = _reported("sizes", reported, ["set", "reading", "low", "high"])
    drawn = lesions[lesions["set"].isin(["important", "critical"])]
    if drawn.empty:
        return nothing_figure("Sizes of the important and the critical clusters", NONE_CONVERGED)
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
    figure, panels, foot = panel_figure(len(series), 2.4, title)
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
        axes.set_ylim(-0.25 if least < 1 else least / 1.6, most * 1.6)
        write_numbers(axes.yaxis)
        axes.yaxis.set_minor_locator(NullLocator())
    marks = _swarm_legend()
    if len(theirs):
        marks.append(Patch(color=YELLOW, alpha=0.3, label="range reported in the paper"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@styled
def null(lesions: pd.DataFrame, null: pd.DataFrame, seed: int | None = None, fail_below: float = 0.5) -> Figure:
    """Accuracy after silencing random sets, as a histogram at each alpha, with that of the set itself across it.

    Both on the same images: the set's is `null_accuracy`, NaN where the set was compared with none. A row of panels a
    set (important, critical), a column a scope; both tables are of one digit and one latent a seed, and of ablation by
    zero; `seed` (default: the least) is drawn. Raises InputError if a column or the seed is missing.
    """
    key = [*_CLUSTERING, "set", "scope"]
    check_columns("null: lesions", lesions, [*key, "null_accuracy", "p"])
    check_columns("null: null", null, [*key, "accuracy"], empty=True)
    seed = _seed(lesions, seed)
    title = f"Silencing a set, against random sets of its size and layers, seed {seed}"
    drawn, observed = null[null["seed"] == seed], lesions[lesions["seed"] == seed]
    keys = [(kind, *pair) for kind in ("important", "critical") for pair in _readings(drawn[drawn["set"] == kind])]
    if not keys:
        return nothing_figure(title, NONE_CONVERGED)
    scopes = [scope for scope in ("all", "hidden") if (drawn["scope"] == scope).any()]
    positions = {alpha: at for at, alpha in enumerate(sorted(drawn["alpha"].unique()))}
    bins = np.linspace(0, 1, 41)
    figure, body, foot = framed_figure(1.0 + 2.1 * len(keys), title)
    grid = body.subplots(len(keys), len(scopes), sharex=True, sharey=True, squeeze=False)
    for line, (kind, reading, draws) in zip(grid, keys, strict=True):
        for axes, scope in zip(line, scopes, strict=True):
            same = {"set": kind, "reading": reading, "draws": draws, "scope": scope}
            random, seen = rows_where(drawn, same), rows_where(observed, same)
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


@styled
def layers(clusters: pd.DataFrame, seed: int | None = None) -> Figure:
    """Neurons in every cluster, by layer: a row of panels a reading, a column an alpha (at most three).

    `clusters` is of one digit and one latent a seed; `seed` (default: the least) is drawn. Constant neurons, which no
    cluster has, stand apart. Raises InputError if a column or the seed is missing.
    """
    check_columns("layers", clusters, [*_CLUSTERING, "neuron", "cluster"])
    seed = _seed(clusters, seed)
    own = clusters[clusters["seed"] == seed].copy()
    own["layer"] = own["neuron"].str.rpartition(":")[0]
    names = list(own["layer"].unique())
    colours = {name: LAYER_COLOURS[at % len(LAYER_COLOURS)] for at, name in enumerate(names)}
    keys, alphas = _readings(own), _some(sorted(own["alpha"].unique()), 3)
    figure, body, foot = framed_figure(1.1 + 1.9 * len(keys), f"What the clusters are made of, seed {seed}")
    grid = body.subplots(len(keys), len(alphas), sharey=True, squeeze=False)
    for line, (reading, draws) in zip(grid, keys, strict=True):
        for axes, alpha in zip(line, alphas, strict=True):
            here = rows_where(own, {"reading": reading, "draws": draws, "alpha": alpha})
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
            axes.set_title(f"latent set to {plain(alpha)}", loc="left")
        line[0].set_ylabel(f"{_reading(reading)[0]}, {_draws(draws)}\nneurons")
    body.supxlabel("cluster, by falling size (const.: constant over the draws)", fontsize=9)
    marks = [Patch(color=colour, label=name) for name, colour in colours.items()]
    foot.legend(handles=marks, loc="center", ncols=min(len(marks), 8))
    return figure


@styled
def published(
    effect: np.ndarray, published: np.ndarray, names: Sequence[str], alphas: Sequence[float], title: str = ""
) -> Figure:
    """Effects on the pixels from common draws, and below each the same effects as published: few, fresh draws an alpha.

    Both are latents, alphas, height, width. Raises InputError if the shapes do not fit.
    """
    ours, theirs = checked_tiles("effect", effect, 4), checked_tiles("published", published, 4)
    if ours.shape != theirs.shape:
        raise InputError(
            f"published: the effects are {ours.shape} and the published ones {theirs.shape}; they must be alike"
        )
    _lengths("published", ours, names, alphas)
    tiles = np.stack([ours, theirs], axis=1).reshape(-1, *ours.shape[1:])
    rows = [text for name in names for text in (f"{name}\ncommon draws", f"{name}\nas published")]
    return picture_sheet(
        tiles,
        rows,
        _numbers(alphas),
        title or "Effects from common draws, and as published",
        "latent set to (its prior's standard deviations)",
        "effect (pixel brightness, 0 to 1)",
        label=1.45,
    )


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
    figure = StyledFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, figure.subplots()


def _plain_log(axes: Axes, values: Iterable[float]) -> None:
    """Limits around the values, and ticks that are written out."""
    numbers = np.asarray([value for value in values if value > 0], dtype=float)
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (1.0, 10.0)
    axes.set_ylim(low / 1.35, high * 1.6)
    write_numbers(axes.yaxis)
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


def _some(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of the values, evenly apart, with the first and the last."""
    at = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[index] for index in at]


def _numbers(values: Iterable[float]) -> list[str]:
    return [plain(value) for value in values]


def _lengths(figure: str, tiles: np.ndarray, names: Sequence[str], alphas: Sequence[float]) -> None:
    if (len(names), len(alphas)) != tiles.shape[:2]:
        raise InputError(
            f"{figure}: {len(names)} names and {len(alphas)} alphas do not fit images of {tiles.shape[0]} rows and "
            f"{tiles.shape[1]} columns"
        )


def _reported(figure: str, table: pd.DataFrame | None, columns: list[str]) -> pd.DataFrame:
    if table is None or table.empty:
        return pd.DataFrame({column: pd.Series(dtype=object) for column in columns})
    check_columns(f"{figure}: reported", table, columns)
    return table


def _seed(table: pd.DataFrame, seed: int | None) -> int:
    seeds = sorted(int(value) for value in table["seed"].unique())
    if seed is None:
        return seeds[0]
    if seed not in seeds:
        raise InputError(f"seed {seed} is not in the table; it has {', '.join(map(str, seeds))}")
    return seed
