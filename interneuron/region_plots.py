"""Figures of the regions of ReLU networks: tables in, a matplotlib `Figure` out, in the style of `canvas`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from interneuron.canvas import (
    BLUE,
    DARK,
    DPI,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    WIDTH,
    StyledFigure,
    check_columns,
    framed_figure,
    styled,
    write_numbers,
)
from interneuron.errors import InputError


@styled
def regions(networks: pd.DataFrame, reported: Mapping[str, float] | None = None, title: str = "") -> Figure:
    """How many regions the seeds have, and how well they classify: two histograms, coloured by what a seed learned.

    `networks` has a row a seed: seed, regions, accuracy, solved, collapsed. `reported` may give a paper's numbers of
    `regions` and `accuracy`. Raises InputError if a column is missing.
    """
    check_columns("regions", networks, ["seed", "regions", "accuracy", "solved", "collapsed"])
    theirs = reported or {}
    kinds = {
        "all samples right": (networks["solved"] == 1, BLUE),
        "some wrong": ((networks["solved"] != 1) & (networks["collapsed"] != 1), SKY),
        "all taken for one class": (networks["collapsed"] == 1, GREY),
    }
    kinds = {name: kind for name, kind in kinds.items() if kind[0].any()}
    seeds = len(networks)
    figure, body, foot = framed_figure(3.6, title or f"Regions of {seeds} seed{'s' * (seeds > 1)}, and their accuracy")
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
        write_numbers(left.xaxis)
    else:
        left.set(xticks=range(1, int(most) + 1), xlim=(0.4, most + 0.6))
    left.set_xlabel("regions")
    left.set_ylabel("seeds")
    write_numbers(right.xaxis, shares=True)
    right.xaxis.set_major_locator(MaxNLocator(5))
    right.set_xlabel("samples classified right")
    marks: list[Line2D | Patch] = [Patch(color=colour, label=name) for name, (_, colour) in kinds.items()]
    if theirs:
        marks.append(Line2D([], [], color="black", linewidth=1.6, linestyle="--", label="reported in the paper"))
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@styled
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
    figure = StyledFigure(figsize=(WIDTH, 0.4 + (tall + 0.42) * len(rows)), dpi=DPI, layout="constrained")
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
            # Patterns of many neurons: nobody reads their middle.
            title = re.sub(r"\S{25,}", lambda word: f"{word[0][:11]}…{word[0][-11:]}", region["title"])
            axes.set_title(title, fontsize=8.5, loc="left")
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


@styled
def merging(path: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Share of the predictions that merged regions keep, against their number: a line a seed, and their median, by the
    principle of merging; beside it the number that was chosen against the regions that a seed had.

    `path` has the columns of merging.parquet: seed, principle, regions, fidelity, chosen; `networks` a row a seed, with
    regions. Raises InputError if a column is missing.
    """
    check_columns("merging", path, ["seed", "principle", "regions", "fidelity", "chosen"])
    check_columns("merging: networks", networks, ["seed", "regions"])
    seeds = path["seed"].nunique()
    figure, body, foot = framed_figure(3.8, f"Merging the regions of {seeds} seed{'s' * (seeds > 1)}")
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
    write_numbers(left.yaxis, shares=True)
    left.set_xlabel("merged regions")
    right.set_xlabel("regions of a seed")
    right.set_ylabel("merged regions that were chosen")
    most = {left: float(path["regions"].max()), right: float(before.max())}
    for axes, greatest in most.items():
        if greatest > 30:
            axes.set_xscale("log")
            write_numbers(axes.xaxis)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlim(0.5, greatest + 0.5)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    right.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    right.set_ylim(0, float(path.loc[path["chosen"].astype(bool), "regions"].max()) * 1.15)
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure


@styled
def borders(quantiles: Mapping[int, np.ndarray], regions: pd.DataFrame) -> Figure:
    """How far samples lie from the border of their region: its distribution by seed, and by region.

    `quantiles` are by seed the distances at equal steps of probability from 0 to 1; `regions` has a row a region: seed,
    support, border (median distance), classes and predicted. Raises InputError if a column is missing.
    """
    check_columns("borders", regions, ["seed", "support", "border", "classes", "predicted"])
    if not quantiles:
        raise InputError("borders: got no distances, nothing can be drawn")
    seeds = len(quantiles)
    title = f"Distance of samples to the border of their region, {seeds} seed{'s' * (seeds > 1)}"
    figure, body, foot = framed_figure(3.7, title)
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
    write_numbers(left.yaxis, shares=True)
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
    write_numbers(right.yaxis, shares=True)
    right.set_ylabel("support of a region")
    left.set_xlabel("distance to the nearest border")
    right.set_xlabel("median distance of its samples")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.3)
        write_numbers(axes.xaxis)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    foot.legend(handles=marks, loc="center", ncols=len(marks))
    return figure
