"""Figures of MARGIN's case studies: arrays and tables in, a matplotlib `Figure` out, in the style of `canvas`."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

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
    frame_axes,
    framed_figure,
    nothing_figure,
    panel_figure,
    picture_sheet,
    rows_where,
    styled,
    wrapped,
    write_numbers,
)
from interneuron.claims import median_interval
from interneuron.errors import InputError
from interneuron.influence import VARIANTS

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


@styled
def samples(rows: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Rows of samples' images with a line of text below each.

    Each row is a mapping with `title`, `images` ([samples, height, width], grey, or [samples, height, width, 3], in
    [0, 1]), `texts` (of the images) and `marked` (images with a red frame). Raises InputError if they do not fit.
    """
    if not rows:
        return nothing_figure(title, "There is no sample to show.")
    most = max(len(row["images"]) for row in rows)
    tile, head, text, top = min(WIDTH / most, 1.05), 0.3, 0.24, 0.4
    height = top + len(rows) * (head + tile + text)
    figure = StyledFigure(figsize=(WIDTH, height), dpi=DPI)
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
            axes = axes_at(figure, at * tile + 0.03, ceiling - head - tile + 0.06, tile - 0.06, tile - 0.06)
            axes.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(visible=True, color="#b3200e" if marked else "#b9b9b9", linewidth=1.6 if marked else 0.8)
            axes.set_xlabel(below, fontsize=7, labelpad=2)
    return figure


@styled
def inspection(curves: Mapping[str, np.ndarray], wrong: float, title: str = "") -> Figure:
    """Share of all errors found against the share of samples inspected, by order of inspection.

    `curves` are by name the shares found, [seeds, steps] at equal steps from 0 to 1; `wrong`: share of the samples that
    is misclassified. The thick line is the median of the seeds, the band goes from the least to the greatest.
    """
    if not curves:
        return nothing_figure(title, "There is no order of inspection to show.")
    figure, (axes,), foot = panel_figure(1, 3.4, title)
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
    for axis in (axes.xaxis, axes.yaxis):
        write_numbers(axis, shares=True)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]))
    axes.grid(color="#e4e4e4", linewidth=0.6)
    foot.legend(handles=lines, loc="center", ncols=len(lines))
    return figure


@styled
def histograms(panels: Sequence[Mapping[str, Any]], names: tuple[str, str], title: str = "") -> Figure:
    """Two distributions in every panel, as histograms of 40 bins that both share, and how far they are apart.

    Each panel is a mapping with `title`, `label` (of the axis), `values` (two arrays), and `text`.
    """
    if not panels:
        return nothing_figure(title, "There is no distribution to show.")
    figure, grid, foot = panel_figure(len(panels), 2.3, title)
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
        write_numbers(axes.yaxis, shares=True)
        axes.text(0.98, 0.95, panel["text"], transform=axes.transAxes, ha="right", va="top", fontsize=8)
    marks = [
        Patch(facecolor=colour, alpha=0.5, hatch=hatch, edgecolor=colour, label=name)
        for name, colour, hatch in zip(names, (BLUE, ORANGE), ("", "////"), strict=True)
    ]
    foot.legend(handles=marks, loc="center", ncols=2)
    return figure


@styled
def errors(selections: pd.DataFrame, curves: pd.DataFrame, main: Mapping[str, Any], reported: pd.DataFrame) -> Figure:
    """Test error of the nearest neighbour among selected samples against their number: a panel a kernel and role.

    `selections` has a row a seed, selection and count: seed, method, function, variant, k, p, role, quota, order,
    threshold, count, error; `curves` one a seed and selection, with its mean error. MARGIN's readings with a filter are
    a band; of them the main reading's (`main`: variant, k, p) with the least and the greatest mean error, and the best
    of all, are lines, medians over the seeds; so are f alone (its best), MMD-critic and random choice. `reported` may
    give a paper's: method, function, role, count, error. Raises InputError if a column is missing.
    """
    keys = ["function", "variant", "k", "p", "method", "role", "quota", "order", "threshold"]
    check_columns("errors", selections, ["seed", *keys, "count", "error"])
    check_columns("errors: curves", curves, ["seed", *keys, "error"])
    middle = selections.groupby([*keys, "count"])["error"].median()
    mean = curves.groupby(keys)["error"].median().reset_index()
    functions = sorted(mean.loc[mean["method"] == "margin", "function"].unique())
    roles = [role for role in ("prototypes", "criticisms") if (mean["role"] == role).any()]
    figure, panels, foot = panel_figure(
        len(functions) * len(roles), 2.7, "Test error of the nearest selected sample", 0.7
    )
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
            theirs = rows_where(reported, {"method": method, "function": function, "role": role})
            if len(theirs):
                name = "MARGIN" if method == "margin" else "MMD-critic"
                label = f"{name}, reported"
                axes.plot(theirs["count"], theirs["error"], "--", color=colour, linewidth=1.3, label=label)
        axes.set_title(f"{role}, {function}", loc="left")
        axes.set_yscale("log")
        write_numbers(axes.yaxis, shares=True)
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


@styled
def selections(images: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Selected samples, a row a selection, first to last.

    `images` is [selections, samples, height, width], grey, or [selections, samples, height, width, 3], in [0, 1];
    `names` of the rows. Raises InputError if the shapes do not fit.
    """
    tiles = checked_tiles("images", images, 5 if np.ndim(images) == 5 else 4)
    if len(names) != len(tiles):
        raise InputError(f"selections: {len(tiles)} rows of images take as many names, not {len(names)}")
    columns = [str(number + 1) for number in range(tiles.shape[1])]
    return picture_sheet(tiles, names, columns, title, "in the order of their choice", label=1.9)


@styled
def recall(methods: pd.DataFrame, main: Mapping[str, Any], at: float) -> Figure:
    """Wrong labels found against the share of samples inspected, a line a method: medians over the seeds.

    `methods` has a row a seed, method, reading and share: seed, method, variant, k, p, share, recall. Left: each method
    at the main k (and p, where it has one). Right: at the share nearest to `at`, MARGIN's filters and f alone by k, a
    line a number of hops. Raises InputError if a column is missing.
    """
    check_columns("recall", methods, ["seed", "method", "variant", "k", "p", "share", "recall"])
    middle = methods.groupby(["method", "variant", "k", "p", "share"])["recall"].median().reset_index()
    seeds = methods["seed"].nunique()
    title = f"Wrong labels found, median of {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = framed_figure(4.3, title, 0.5)
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
        write_numbers(axes.yaxis, shares=True)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(0, 1.03)
    write_numbers(left.xaxis, shares=True)
    left.set(xlim=(0, 1), xlabel="samples inspected", ylabel="wrong labels found")
    right.set(xlabel="neighbours k", title=f"by k, when {nearest:.0%} is inspected")
    right.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    right.margins(x=0.15)
    right.legend(handles=list(hops.values()), loc="lower left", ncols=3, fontsize=7, handletextpad=0.2)
    marks, names = left.get_legend_handles_labels()
    foot.legend(marks, names, loc="center", ncols=6, fontsize=7.5, columnspacing=1.2)
    return figure


@styled
def suspects(table: pd.DataFrame, main: Mapping[str, Any], title: str) -> Figure:
    """Samples whose labels are most suspect, a column a method: number, the label given, and the one predicted.

    `table` has a row a method, reading and rank: method, function, variant, k, p, rank, sample_id, given, predicted,
    flipped (1: known to be wrong). The first 20 are shown; of influence the main reading's (`main`: variant, k, p) and
    f alone's. Raises InputError if a column is missing.
    """
    keys = ["method", "function", "variant", "k", "p"]
    check_columns("suspects", table, [*keys, "rank", "sample_id", "given", "predicted", "flipped"])
    shown = table[table["k"].isin([0, main["k"]]) & table["p"].isin([0, main["p"]])]
    shown = shown[(shown["method"] != "margin") | shown["variant"].isin([main["variant"], "f-alone"])]
    shown = shown[shown["rank"] <= 20]
    shown = pd.concat([shown[shown["variant"] == main["variant"]], shown[shown["variant"] != main["variant"]]])
    columns = []
    for (method, function, variant, _, _), rows in shown.groupby(keys, sort=False):
        name = _AUDITS[method, variant][0] + (f", {function}" if function and table["function"].nunique() > 2 else "")
        columns.append((name, rows.sort_values("rank")))
    across, line, head = 7, 0.17, 0.55
    bands = [columns[start : start + across] for start in range(0, len(columns), across)]
    tall = head + line * int(shown["rank"].max()) + 0.1
    height = 0.4 + tall * len(bands)
    figure = StyledFigure(figsize=(WIDTH, height), dpi=DPI)
    figure.text(0.1 / WIDTH, 1 - 0.2 / height, title, fontsize=11, va="center")
    for number, band in enumerate(bands):
        for at, (name, rows) in enumerate(band):
            x, y = (0.1 + at * WIDTH / across) / WIDTH, height - 0.45 - number * tall
            # Bold letters are wider than those that are measured.
            heading = wrapped(name, 8, 0.85 * WIDTH / across)
            figure.text(x, y / height, heading, fontsize=8, va="top", weight="bold")
            for row in rows.itertuples():
                text = f"{row.sample_id}: {row.given} \N{RIGHTWARDS ARROW} {row.predicted}"
                place = (y - head + 0.12 - line * (row.rank - 1)) / height
                figure.text(x, place, text, fontsize=7.5, va="center", color=ORANGE if row.flipped else DARK)
    return figure


@styled
def labels(metrics: pd.DataFrame) -> Figure:
    """Accuracy over the number of labels: MARGIN against each other way of choosing what is labelled, a panel each.

    MARGIN is `symmetric`, at its least p, or where that was not tried the first other reading of influence.
    `metrics` has a row a seed, way and number of labels: seed, method, p, labels, accuracy. Lines are medians over the
    seeds; bands their 95 % intervals, or with fewer than 6 seeds least to greatest; `all` is a line across. Raises
    InputError if a column is missing, or nothing was chosen by MARGIN.
    """
    check_columns("labels", metrics, ["seed", "method", "p", "labels", "accuracy"])
    ways: dict[Any, pd.DataFrame] = dict(iter(metrics[metrics["method"] != "all"].groupby(["method", "p"], sort=False)))
    own = min((key for key in ways if key[0] in VARIANTS), key=lambda key: key[0] != "symmetric", default=None)
    if own is None:
        raise InputError("labels: got no rows of a reading of influence, nothing can be compared")
    others = [key for key in ways if key != own]
    everything = metrics.loc[metrics["method"] == "all", "accuracy"]
    seeds = metrics["seed"].nunique()
    across = 3
    down = -(-len(others) // across)
    title = f"Accuracy by what is labelled, {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = framed_figure(0.8 + 1.9 * down, title)
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
        write_numbers(axes.yaxis, shares=True)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    body.supxlabel("labelled nodes", fontsize=9)
    body.supylabel("test nodes classified right", fontsize=9)
    marks = [
        Line2D([], [], color=BLUE, marker="o", ms=4, label=WAYS[own[0]] + (f", p = {own[1]}" if own[1] else "")),
        Line2D([], [], color=ORANGE, marker="s", ms=4, label="the panel's"),
        Line2D([], [], color=GREY, linestyle="--", label="all nodes labelled"),
    ]
    foot.legend(handles=marks[: 3 if len(everything) else 2], loc="center", ncols=3)
    return figure


@styled
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
    figure = StyledFigure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.2 / height, "Saliency of the predicted class", fontsize=11, va="center")
    colours = mpl.colormaps["inferno"]
    for row, (photo, own, name) in enumerate(zip(photos, maps, names, strict=True)):
        seen = np.asarray(photo, float) / 255
        grey = seen if seen.ndim == 2 else seen @ [0.299, 0.587, 0.114]
        for column, method in enumerate(["", *methods]):
            axes = axes_at(figure, 0.85 + tile * column, height - 0.7 - tile * (row + 1), tile * 0.97, tile * 0.97)
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
            frame_axes(axes)
            if row == 0:
                axes.set_title(fill(WAYS.get(method, method or "image"), 14), fontsize=8)
    return figure


@styled
def judged(metrics: pd.DataFrame, measures: Mapping[str, str]) -> Figure:
    """How good saliency maps are: a panel a measure, a row a map, median and interval over the photos.

    `metrics` has a row a photo and map: seed, method, k, p, and the measures; `measures` gives their names for people.
    Raises InputError if a column is missing.
    """
    check_columns("judged", metrics, ["seed", "method", "k", "p", *measures])
    groups: list[tuple[Any, pd.DataFrame]] = list(metrics.groupby(["method", "k", "p"], sort=False))
    names = [WAYS[method] + (f", k {k}, p {p}" if k else "") for (method, k, p), _ in groups]
    photos = metrics["seed"].nunique()
    title = f"Saliency maps, {photos} image{'s' * (photos > 1)}: median and interval"
    figure = StyledFigure(figsize=(WIDTH, 1.0 + 0.24 * len(groups)), dpi=DPI, layout="constrained")
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
