"""Every figure as it is seen: its texts are rendered, whole and apart, and every style of line is explained."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Workspace
from looks import faults, texts
from matplotlib.figure import Figure
from synthetic import script

from interneuron import gsr_plots, margin_plots, region_plots, thesis_plots
from interneuron.canvas import percent, plain, styled, tick_labels, write_numbers
from interneuron.workflow import config
from interneuron.workflow.plan import Plan

LONG = "features.denseblock4.denselayer16.conv2"


def test_every_figure_of_the_smallest_run(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    plan: Any = Plan.__new__(Plan)
    plan.project = config.load(ROOT / "config/test.yaml", ROOT)
    plan._coded = lambda step, settings, names=(): settings
    figures = script("figures")
    found, drawn = {}, 0
    for job in plan.jobs("figures"):
        wildcards = SimpleNamespace(**job)
        study = figures.Study(SimpleNamespace(**plan.figure_inputs(wildcards)), plan.figure(wildcards))
        picture = figures.FIGURES[wildcards.figure](study)
        if isinstance(picture, Figure):
            drawn += 1
            found[f"{wildcards.study}/{wildcards.figure}"] = faults(picture)
    assert drawn > 25
    assert {name: sentences for name, sentences in found.items() if sentences} == {}


def test_faults_are_seen() -> None:
    figure = Figure(figsize=(4, 3), dpi=100)
    left, right = figure.subplots(1, 2)
    for axes, colours in ((left, "rg"), (right, "b")):
        for colour in colours:
            axes.plot([1, 9], [0.3, 0.6], color=colour)
    left.set_yscale("log")
    left.set_title("a title that goes on into its neighbour's")
    right.set_title("another that goes on beyond the edge of the page")
    right.set_xticks([1, 9], ["$x^2$", "y"])
    kinds = {fault.split(":")[0] for fault in faults(figure)}
    assert kinds == {"markup", "cut off", "on top of each other", "not explained"}


@pytest.mark.parametrize(
    ("value", "text", "share"),
    [
        (0.1 + 0.2, "0.3", "30%"),
        (12000.0, "12,000", "1,200,000%"),
        (1.0, "1", "100%"),
        (0.025, "0.025", "2.5%"),
        (0.0, "0", "0%"),
        (-0.5, "−0.5", "−50%"),
        (2e-7, "2e−7", "2e−5%"),
        (3e12, "3e12", "3e14%"),
    ],
)
def test_numbers_are_written_out(value: float, text: str, share: str) -> None:
    assert (plain(value), percent(value)) == (text, share)


@pytest.mark.parametrize("scale", ["log", "symlog"])
@pytest.mark.parametrize(
    "limits",
    [
        (0.25, 0.71),
        (0.97, 1.03),
        (22, 28),
        (1e-3, 1.0),
        (3e-12, 4e9),
        (0.05, 0.9),
        (1e-300, 1e300),
        (0, 1e5),
        (-40, 700),
    ],
)
def test_logarithmic_axes_have_round_numbers(scale: str, limits: tuple[float, float]) -> None:
    if scale == "log" and limits[0] <= 0:
        limits = (1e-2, limits[1])

    @styled
    def drawn() -> Figure:
        figure = Figure(figsize=(4, 3), dpi=110, layout="constrained")
        axes = figure.subplots(1, 2)
        for one, axis, shares in zip(axes, (axes[0].yaxis, axes[1].xaxis), (True, False), strict=True):
            getattr(one, f"set_{axis.axis_name}scale")(scale)
            getattr(one, f"set_{axis.axis_name}lim")(*limits)
            write_numbers(axis, shares)
        return figure

    figure = drawn()
    assert faults(figure) == []
    for axis in (figure.axes[0].yaxis, figure.axes[1].xaxis):
        places = axis.get_majorticklocs()
        assert 2 <= len(tick_labels(axis)) <= 7
        assert min(limits) <= min(places) < max(places) <= max(limits) * (1 + 1e-9)


def kl(values: list[float]) -> Figure:
    return thesis_plots.kl(pd.DataFrame({"seed": 0, "latent": range(len(values)), "kl": values}))


def borders(low: float, high: float, support: list[float]) -> Figure:
    table = pd.DataFrame({"seed": 0, "support": support, "border": np.linspace(low, high, len(support))})
    return region_plots.borders({0: np.linspace(low, high, 101)}, table.assign(classes=1, predicted=[0, 1, 2, 1]))


def reconstruction(weights: list[float], least: float, most: float) -> Figure:
    variants = [("none", 0.0), *((name, weight) for name in (LONG, "gsr") for weight in weights)]
    rows = [
        {"level": "mean", "seed": seed, "variant": variant, "weight": weight}
        for variant, weight in variants
        for seed in (0, 1)
    ]
    return gsr_plots.reconstruction(pd.DataFrame(rows).assign(test_reconstruction=np.geomspace(least, most, len(rows))))


def variants(names: list[str]) -> Figure:
    rows = [
        {"level": "mean", "seed": 0, "variant": name, "weight": 0.0, "moran_z": 1.0, "clusters": 2} for name in names
    ]
    return gsr_plots.variants(pd.DataFrame(rows))


def about(names: list[str]) -> dict[str, Any]:
    runs = [{"variant": name, "weight": 0.0, "part": "all"} for name in names]
    return {"graph": {"kind": "grid", "sizes": {"height": 4, "width": 4}}, "seed": 0, "runs": runs}


def of_runs(draw: Any, what: str, values: np.ndarray, names: list[str], **more: np.ndarray) -> Figure:
    tensors = {f"run{run}.{name}": array for run in range(len(names)) for name, array in {what: values, **more}.items()}
    return draw(tensors, about(names))


def regions(counts: list[int]) -> Figure:
    return region_plots.regions(
        pd.DataFrame({"seed": range(len(counts)), "regions": counts, "accuracy": 0.995, "solved": 0, "collapsed": 0})
    )


def importance(pattern: str, features: list[str]) -> Figure:
    weights = np.arange(1.0, len(features) + 1)
    region = {"title": f"{pattern}, 12% of samples,\n100% taken for 1, 3% are 1", "weights": weights, "spread": weights}
    return region_plots.importance([{"title": "Seed 3", "regions": [region] * 4}], features)


def layers(names: list[str], clusters: int) -> Figure:
    rows = [{"neuron": f"{name}:{at}", "cluster": at} for name in names for at in range(clusters)]
    settings = {"seed": 0, "digit": 1, "latent": 0, "alpha": 0.0, "reading": "activation", "draws": 9}
    return thesis_plots.layers(pd.DataFrame(rows).assign(**settings))


def traversal(latents: int, alphas: int, title: str = "") -> Figure:
    images = np.zeros((latents, alphas, 4, 4))
    names = [f"z{latent}: 0.01 nats" for latent in range(latents)]
    return thesis_plots.traversal(images, names, np.linspace(-3, 3, alphas), title)


def histograms(name: str) -> Figure:
    panel = {
        "title": f"{name}, influence",
        "label": "over its maximum",
        "values": (np.arange(9), np.arange(5)),
        "text": "a",
    }
    return margin_plots.histograms(
        [panel] * 3, ("not attacked", "attacked"), f"Attacked images and others, {name} {name}"
    )


def suspects(sample_id: int) -> Figure:
    """Two readings of MARGIN and all that they are compared with, two suspects each."""
    rows = [
        {"method": method, "function": "distrust" if method == "margin" else "", "variant": variant, "k": 10, "p": 1}
        | {"rank": rank, "sample_id": sample_id, "given": 19, "predicted": 18, "flipped": 0}
        for method, variant in margin_plots._AUDITS
        if variant in ("", "symmetric", "f-alone")
        for rank in (1, 2)
    ]
    return margin_plots.suspects(pd.DataFrame(rows), {"variant": "symmetric", "k": 10, "p": 1}, "Suspects")


SQUARE = np.arange(16.0).reshape(4, 4)
PATCHES = np.arange(16) % 12
HARD = {
    "kl within a decade": lambda: kl([0.4, 0.3, 0.25, 0.2]),
    "kl of one latent": lambda: kl([0.4]),
    "kl of zeros": lambda: kl([0.0, 0.0]),
    "kl over many decades": lambda: kl([300.0, 1e-3, 1e-9, 0.0]),
    "borders within a decade": lambda: borders(0.3, 0.8, [0.3, 0.4, 0.5, 0.6]),
    "borders over many decades": lambda: borders(1e-9, 1e4, [1e-6, 1e-4, 0.01, 1]),
    "no border": lambda: borders(np.inf, np.inf, [0.3, 0.4, 0.5, 0.6]),
    "reconstruction within a decade": lambda: reconstruction([0.1, 0.2, 0.5], 0.031, 0.034),
    "reconstruction over many decades": lambda: reconstruction([1e-9, 1e-6, 1e3], 1e-7, 1e2),
    "regions in the thousands": lambda: regions([5, 800, 60000, 59000]),
    "regions within a decade": lambda: regions([35, 41, 57]),
    "one seed": lambda: regions([1]),
    "twenty variants": lambda: variants([f"variant-{i}" for i in range(20)]),
    "long variants": lambda: variants([LONG, LONG + "b", "gsr"]),
    "long runs": lambda: of_runs(gsr_plots.supernodes, "supernodes", SQUARE, [LONG] * 8),
    "two classes": lambda: of_runs(gsr_plots.supernodes, "supernodes", SQUARE[:2], ["none"] * 8),
    "long runs in rows": lambda: of_runs(gsr_plots.class_maps, "maps", np.eye(16)[:12], [LONG, "b"], segments=PATCHES),
    "long runs of components": lambda: of_runs(gsr_plots.components, "graph", 1 - np.eye(4), [LONG] * 5),
    "wide patterns": lambda: importance("0110" * 16 + "|" + "01" * 16, ["a", "b"]),
    "long features": lambda: importance("01|1", [f"{LONG}.{i}" for i in range(14)]),
    "long layers": lambda: layers([f"{LONG}.{i}" for i in range(9)], 30),
    "many images": lambda: traversal(3, 31),
    "many latents": lambda: traversal(60, 3),
    "a long title": lambda: traversal(1, 3, f"Images of digit 5 as one latent of {LONG} moves, seed 0, and more"),
    "long functions": lambda: histograms(LONG),
    "suspects of all methods": lambda: suspects(99_999),
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_figures_of_hard_cases(name: str) -> None:
    figure = HARD[name]()
    assert faults(figure) == []
    assert texts(figure)
