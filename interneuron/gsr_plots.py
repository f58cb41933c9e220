"""Figures of graph spectral regularization: tables and arrays in, a matplotlib `Figure` out, in the style of `canvas`.

`tensors` and `about` are those of layers.safetensors: arrays by `run{number}.{name}` of one seed, and what the runs
are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import stdtrit

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
    inches,
    styled,
    wrapped,
    write_numbers,
)
from interneuron.errors import InputError
from interneuron.lattices import components as components_of

COLOURS = (GREY, BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
MOST = 8
# Metrics that are shown by variant, where a study has them, with the words for their axis.
SHOWN = {
    "clusters": "clusters of neurons",
    "stability": "agreement of the clusters of two halves",
    "sharpness": "lost by a patch's class, less by the others",
    "line_regions": "linear regions from one sample to another",
    "misread_auroc": "AUROC of influence for misread samples",
    "test_accuracy": "test images classified right",
    "test_reconstruction": "mean squared error of the test split",
    "moran_z": "Moran's I of class maps, sd above random orders",
    "compactness": "share of nodes in their class's largest patch",
    "supernodes": "share of components that code one cluster",
    "nodes_apart": "share of classes that a node prefers",
    "ring_correlation": "correlation of ring and object",
    "order_correlation": "correlation of neurons' order and pseudotime",
    "spectral_components": "components of the learned graph",
    "aligned": "alignment of capsules' dimensions",
}


def name_of(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """A run in words: its variant, with its weight and part where others differ from it in these only."""
    same = [other for other in runs if other["variant"] == run["variant"]]
    words = [run["variant"]]
    if len({other["weight"] for other in same}) > 1:
        words.append(f"{run['weight']:g}")
    if len({other["part"] for other in runs}) > 1:
        words.append(f"({run['part']})")
    return " ".join(words)


@styled
def class_maps(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Figure:
    """Class-average maps on the layer's graph, a row a run, and at its end the class of each node."""
    sizes = about["graph"]["sizes"]
    shown = _with(tensors, about, "maps")
    rows, nodes = sizes.get("height", sizes.get("count", 1)), shown[0][1].shape[1]
    shape = rows, nodes // rows
    classes = max(len(maps) for _, maps in shown)
    tall = 0.75 + (0.15 + 0.7 * min(1, shape[0] / shape[1])) * len(shown)
    figure = StyledFigure(figsize=(WIDTH, tall), dpi=DPI)
    grid = figure.subplots(len(shown), classes + 1, squeeze=False)
    names = {number: name_of(about["runs"][number], about["runs"]) for number, _ in shown}
    left = max(0.13, max(inches(wrapped(name, 9, 1.8), 9) for name in names.values()) / WIDTH + 0.02)
    node = (0.99 - left) * WIDTH / (1.12 * (classes + 1)) / max(shape)
    colours = [mpl.colormaps["tab10" if classes <= 10 else "tab20"](c % 20) for c in range(classes)]
    for row, (number, maps) in zip(grid, shown, strict=True):
        low, high = float(maps.min()), float(maps.max())
        for label, axes in enumerate(row[:-1]):
            if label >= len(maps):
                axes.remove()
                continue
            axes.imshow(maps[label].reshape(shape), vmin=low, vmax=high, cmap="viridis")
            axes.set(xticks=[], yticks=[])
        segments = tensors[f"run{number}.segments"].reshape(shape)
        picture = np.ones((*shape, 4))
        for label in range(classes):
            picture[segments == label] = colours[label]
        row[-1].imshow(picture)
        row[-1].set(xticks=[], yticks=[])
        row[0].set_ylabel(wrapped(names[number], 9, 1.8), rotation=0, ha="right", va="center")
        taken: list[np.ndarray] = []
        for label in range(classes):
            places = np.argwhere(segments == label)
            if len(places):
                middle = places[np.abs(places - places.mean(0)).sum(1).argmin()]
                # Where two would cover each other, the colour has to do, which is that of the column's title.
                if all((np.abs(middle - other) * node > (0.12, 0.07 * len(str(classes)))).any() for other in taken):
                    taken.append(middle)
                    row[-1].text(middle[1], middle[0], str(label), ha="center", va="center", fontsize=7)
    for label, axes in enumerate(grid[0][:-1]):
        axes.set_title(str(label), color=colours[label], fontweight="bold")
    grid[0][-1].set_title("patches")
    figure.suptitle(f"Mean activity of the layer by class, on its graph, seed {about['seed']}", x=0.01, ha="left")
    figure.subplots_adjust(left=left, right=0.99, top=1 - 0.55 / tall, bottom=0.03, wspace=0.12)
    return figure


@styled
def variants(metrics: pd.DataFrame) -> Figure:
    """What every seed came to, by variant: a panel a metric that the study has, the first six of `SHOWN`."""
    table = metrics[metrics["level"] == "mean"]
    names = [name for name in SHOWN if name in table and table[name].notna().any()][:6]
    if not names:
        raise InputError("variants: the metrics have none of " + ", ".join(SHOWN))
    table = table.assign(run=_runs(table))
    runs = list(dict.fromkeys(table.sort_values(["variant", "weight"], kind="stable")["run"]))
    runs.sort(key=lambda run: run != "none")
    figure = StyledFigure(figsize=(WIDTH, 0.6 + 2.4 * -(-len(names) // 2)), dpi=DPI, layout="constrained")
    grid = list(figure.subplots(-(-len(names) // 2), min(2, len(names)), squeeze=False).flat)
    for axes, name in zip(grid, names, strict=False):
        for at, run in enumerate(runs):
            values = table.loc[table["run"] == run, name].dropna().to_numpy()
            spread = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(len(values))
            axes.plot(at + spread, values, "o", color=COLOURS[at % len(COLOURS)], markersize=3.5, alpha=0.8)
            if len(values):
                axes.hlines(np.median(values), at - 0.32, at + 0.32, color=DARK, linewidth=1.4)
        axes.set_xticks(range(len(runs)), runs, rotation=30 if len(runs) > 4 else 0)
        axes.set_title(SHOWN[name], loc="left")
    for axes in grid[len(names) :]:
        axes.remove()
    seeds = table["seed"].nunique()
    figure.suptitle(f"Variants, {seeds} seed{'s' * (seeds > 1)}; the line is the median", x=0.01, ha="left")
    return figure


@styled
def modules(metrics: pd.DataFrame) -> Figure:
    """Components of the learned graph and directions of the embedding against the number of modules, a panel a variant:
    mean and 95 % interval of the mean over seeds."""
    table = metrics[(metrics["level"] == "run") & metrics["part"].str.isdecimal()]
    table = table.assign(run=_runs(table)).sort_values("weight", kind="stable")
    runs = list(dict.fromkeys(table["run"]))
    figure = StyledFigure(figsize=(WIDTH, 0.6 + 3.0 * -(-len(runs) // 2)), dpi=DPI, layout="constrained")
    grid = list(figure.subplots(-(-len(runs) // 2), min(2, len(runs)), squeeze=False, sharey=True).flat)
    ns = sorted(table["part"].astype(int).unique())
    for axes, run in zip(grid, runs, strict=False):
        for metric, colour, label in (
            ("components", BLUE, "components: edges above the cut"),
            ("spectral_components", ORANGE, "components: small eigenvalues"),
            ("directions", GREEN, "directions of the embedding"),
        ):
            if metric not in table:
                continue
            own = table[table["run"] == run]
            values = [own.loc[own["part"] == str(n), metric].to_numpy(float) for n in ns]
            mean = np.array([of.mean() for of in values])
            # Student's quantile: trials may be few.
            error = np.array(
                [stdtrit(len(of) - 1, 0.975) * of.std(ddof=1) / np.sqrt(len(of)) if len(of) > 1 else 0 for of in values]
            )
            axes.errorbar(ns, mean, error, color=colour, marker="o", markersize=4, capsize=3, label=label)
        axes.plot(ns, ns, color=DARK, linestyle="--", linewidth=1, label="one a module")
        axes.set(xlabel="modules", xticks=ns)
        if len(runs) > 1:
            axes.set_title(run, loc="left")
    for axes in grid[len(runs) :]:
        axes.remove()
    grid[0].legend()
    seeds = table["seed"].nunique()
    title = f"Learned graphs and embeddings, {seeds} trials of each number of modules"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def components(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any], above: float = 0.1) -> Figure:
    """Learned graphs as matrices, nodes sorted by their component."""
    shown = _with(tensors, about, "graph")[:MOST]
    across = min(4, len(shown))
    down = -(-len(shown) // across)
    figure = StyledFigure(figsize=(WIDTH, 0.6 + 2.2 * down), dpi=DPI, layout="constrained")
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes, (number, graph) in zip(grid, shown, strict=False):
        labels = components_of(np.where(graph > above, graph, 0).astype(np.float64))
        sizes = np.bincount(labels)
        order = np.lexsort((labels, -sizes[labels]))
        axes.imshow(graph[np.ix_(order, order)], cmap="Blues", vmin=0, vmax=max(float(graph.max()), 1e-9))
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name_of(about['runs'][number], about['runs'])}: {len(sizes)}", fontsize=8.5)
        for edge in np.cumsum(np.sort(sizes)[::-1])[:-1]:
            axes.axhline(edge - 0.5, color=ORANGE, linewidth=0.6)
            axes.axvline(edge - 0.5, color=ORANGE, linewidth=0.6)
    for axes in grid[len(shown) :]:
        axes.remove()
    title = f"Graphs learned on the neurons, sorted by component (their number), seed {about['seed']}"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def pseudotime(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Figure:
    """Place of every neuron along its learned graph, and the mean pseudotime of its activity."""
    shown = _with(tensors, about, "place")[:4]
    figure = StyledFigure(figsize=(WIDTH, 3.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (number, place) in zip(grid, shown, strict=True):
        time = tensors[f"run{number}.time"]
        axes.plot(place, time, "o", color=BLUE, markersize=3.5)
        axes.set_title(name_of(about["runs"][number], about["runs"]), loc="left")
        axes.set_xlabel("place along the graph of neurons")
    grid[0].set_ylabel("mean pseudotime of the activity")
    figure.suptitle(f"Neurons along their graph and cells in time, seed {about['seed']}", x=0.01, ha="left")
    return figure


@styled
def ring(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any], metrics: pd.DataFrame) -> Figure:
    """Activity of the ring's nodes view by view, of the object in the middle of all by its correlation, by run."""
    table = metrics[(metrics["level"] == "run") & (metrics["seed"] == about["seed"])]
    last = table[table["weight"] == table["weight"].max()].sort_values(["ring_correlation", "part"])
    part = str(last["part"].iloc[len(last) // 2])
    shown = [(number, z) for number, z in _with(tensors, about, "ring") if about["runs"][number]["part"] == part]
    figure = StyledFigure(figsize=(WIDTH, 3.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (number, z) in zip(grid, shown, strict=True):
        run = about["runs"][number]
        order = np.argsort(tensors[f"run{number}.angles"])
        centred = (z - z.mean(0))[order]
        limit = float(np.abs(centred).max()) or 1.0
        axes.imshow(
            centred, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(-0.5, z.shape[1] - 0.5, 360, 0)
        )
        here = table[
            (table["part"] == part) & (table["variant"] == run["variant"]) & (table["weight"] == run["weight"])
        ]
        name = f"{run['variant']} {run['weight']:g}".removesuffix(" 0")
        axes.set_title(f"{name}: {here['ring_correlation'].iloc[0]:.2f}", loc="left")
        axes.set_xlabel("node of the ring")
    grid[0].set_ylabel("angle of the object, degrees")
    which = "the object" if part == "all" else f"object {part}"
    title = f"Activity around the ring as {which} turns, and its correlation, seed {about['seed']}"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def reconstruction(metrics: pd.DataFrame) -> Figure:
    """Error of the reconstruction against the weight of each penalty: median, and least to greatest of the seeds."""
    table = metrics[metrics["level"] == "mean"]
    figure = StyledFigure(figsize=(WIDTH, 3.8), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for at, (variant, of) in enumerate(table.groupby("variant", sort=True)):
        colour = COLOURS[(at + 1) % len(COLOURS)]
        errors = of.groupby("weight")["test_reconstruction"]
        if of["weight"].nunique() == 1:
            axes.axhline(errors.median().iloc[0], color=DARK, linestyle="--", linewidth=1, label=str(variant))
            continue
        weights = errors.median().index.to_numpy(float)
        axes.plot(weights, errors.median(), color=colour, marker="o", markersize=4, label=str(variant))
        axes.fill_between(weights, errors.min(), errors.max(), color=colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        write_numbers(axis)
    axes.set(xlabel="weight of the penalty", ylabel="mean squared error of the test split")
    axes.legend()
    axes.set_title(f"Reconstruction under penalties on the embedding, {table['seed'].nunique()} seeds", loc="left")
    return figure


@styled
def supernodes(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Figure:
    """Mean activity of every node by class, scaled to [0, 1] by node; lines part the graph's components."""
    width = int(about["graph"]["sizes"].get("length", 1))
    return _heat(tensors, about, "supernodes", "viridis", ("node", "class"), "Activity by class", width)


@styled
def alignment(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Figure:
    """Slope of the image's ink along every dimension of every class's capsule."""
    return _heat(tensors, about, "slopes", "RdBu_r", ("dimension", "class"), "Ink along the capsules' dimensions", 0)


def _heat(
    tensors: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    what: str,
    colours: str,
    labels: tuple[str, str],
    title: str,
    every: int,
) -> Figure:
    shown = _with(tensors, about, what)[:MOST]
    figure = StyledFigure(figsize=(WIDTH, 3.0), dpi=DPI, layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (number, values) in zip(grid, shown, strict=True):
        limit = float(np.abs(values).max()) or 1.0
        axes.imshow(values, aspect="auto", cmap=colours, vmin=0 if every else -limit, vmax=limit)
        axes.set_title(name_of(about["runs"][number], about["runs"]), loc="left")
        axes.set_xlabel(labels[0])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator("auto", integer=True))
        for edge in range(every, values.shape[1], every) if every else ():
            axes.axvline(edge - 0.5, color="white", linewidth=1.2)
    grid[0].set_ylabel(labels[1])
    figure.suptitle(f"{title}, seed {about['seed']}", x=0.01, ha="left")
    return figure


def _with(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any], what: str) -> list[tuple[int, np.ndarray]]:
    found = [(n, tensors[f"run{n}.{what}"]) for n in range(len(about["runs"])) if f"run{n}.{what}" in tensors]
    if not found:
        raise InputError(f"the study's layers have no {what}, which the figure takes")
    return found


def _runs(table: pd.DataFrame) -> pd.Series:
    """Variant of each row, with its weight where the variant has several."""
    several = table.groupby("variant")["weight"].transform("nunique") > 1
    return table["variant"].where(~several, table["variant"] + " " + table["weight"].map("{:g}".format))
