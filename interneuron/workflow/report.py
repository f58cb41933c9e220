"""The report: the ledger and the figures of every study on one self-contained page."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from interneuron.errors import InputError
from interneuron.workflow.statements import number, own, sentences, statements
from interneuron.workflow.strips import VERDICTS, Line, line, rendered

COLUMNS = (
    *("study", "claim", "says", "statement", "reading", "group", "source", "states", "reported", "holds_if", "why"),
    *("measured", "low", "high", "interval", "n", "share", "verdict", "note", "values", "seeds"),
)
CAPTIONS = {
    "kl.png": (
        "KL divergence of every latent's posterior from its prior, on the test split; a line joins one seed's "
        "latents. Above the dashed line a latent counts as active."
    ),
    "traversal.png": (
        "What the decoder draws when one latent is set to each value and the others stay at one draw; latents "
        "in falling order of their KL divergence."
    ),
    "traversal.gif": ("The same images in motion: every latent moves from its lowest value to its highest and back."),
    "effects.png": (
        "Average causal effect of setting an active latent, on every pixel: brighter than on average over the "
        "values in red, darker in blue, one scale for all."
    ),
    "classes.png": (
        "Average causal effect of switching a class on, against the other classes, on every pixel: brighter "
        "in red, darker in blue, one scale for all."
    ),
    "published.png": (
        "The effect of the strongest latent and of the weakest, a nuisance: from many draws shared by all "
        "values, and as published, from a few fresh draws for each value."
    ),
    "preference.png": (
        "Number of clusters that affinity propagation finds as the preference falls below the median "
        "similarity. Hollow marks did not converge; the plateau is shaded, and the run whose labels are used "
        "is ringed."
    ),
    "clusters.png": (
        "Number of clusters at the chosen preference, a mark a seed, with the median and, where the paper "
        "gives one, its number."
    ),
    "layers.png": (
        "The layers that each cluster's neurons come from; neurons that are constant over the draws stand apart."
    ),
    "lesions.png": (
        "The same draws decoded with one cluster's neurons set to 0. A cross marks the clusters without which "
        "the judge takes too few images for the digit."
    ),
    "sizes.png": (
        "Neurons in the important cluster of each reading, in the critical cluster (where two important ones "
        "intersect), and hidden neurons in it, a mark a seed."
    ),
    "regions.png": (
        "How many regions a seed has, and its accuracy, coloured by what the seed learned; the dashed line is the "
        "paper's number."
    ),
    "importance.png": (
        "Weights of the features in the affine map of each region (bars), and times the features' standard deviations "
        "(diamonds): of the seed most like the paper, and of the one in the middle. A region is named by its pattern: "
        "a digit a neuron, layers apart by a bar. A star marks features that are correlated with another: "
        "their weights are no importances."
    ),
    "merging.png": (
        "Regions merged two by two, from all of them to one, by each principle: share of the network's predictions "
        "that merged regions keep, a line a seed with the median; and the number that was chosen (larger marks are "
        "more seeds)."
    ),
    "borders.png": (
        "Distance from samples to the nearest border of their region, where the explanation changes: its distribution, "
        "a line a seed, and the median of each region against its support."
    ),
    "null.png": (
        "Share of images still recognised after silencing a set (line), and after silencing random sets of "
        "the same size and layer mix (histogram). p is the share of random sets that do at least as much "
        "harm."
    ),
    "prototypes.png": (
        "The first prototypes of one seed: MMD-critic's and those of the lowest influence, by each reading."
    ),
    "criticisms.png": (
        "The first criticisms of one seed: MMD-critic's and those of the highest influence, by each reading."
    ),
    "errors.png": (
        "Error of a nearest-neighbour classifier that knows the chosen samples only, by their number; dashed, what the "
        "paper reports."
    ),
    "recall.png": (
        "Wrong labels found against the share of samples inspected, and found by each method once the paper's share is "
        "inspected; median over the seeds and its 95 % interval."
    ),
    "suspects.png": (
        "Samples whose labels are most suspect, in each method's order: the sample's number in the prepared data, the "
        "label that it has, and the one that a cross-validated logistic regression gives it. Labels known to be wrong "
        "are in another colour. The whole list is suspects.tsv beside the study's other files."
    ),
    "gallery.png": (
        "Samples that come first by influence, by the explanation function alone, and by the smallest margin: "
        "what the network took each for, and what it is."
    ),
    "inspection.png": (
        "The network's errors found against the share of samples inspected, in each order; median over the seeds."
    ),
    "histograms.png": (
        "Explanation functions alone and their influence, of attacked images and of the others, for one seed."
    ),
    "attacks.png": "Images of one seed before and after a successful attack, and how far each moved (Euclidean).",
    "labels.png": (
        "Test nodes that a graph network classifies right, by what was labelled: MARGIN's choice against another in "
        "each panel. Median over the seeds and its 95 % interval."
    ),
    "judged.png": (
        "How good the saliency maps are, median over the images and its 95 % interval: areas under the score while "
        "the most salient pixels go or come, pixels needed for a part of the score, sparsity."
    ),
    "overlays.png": (
        "Saliency of the class that the network sees, dark to bright, over each image in grey: masking effect times "
        "influence is MARGIN's map."
    ),
    "class-maps.png": (
        "Mean activity of the regularised layer on its graph: a row a training, a column a class, and last the class "
        "whose share of activity is largest at each node."
    ),
    "variants.png": "What each training came to: a mark a seed, the line their median.",
    "modules.png": (
        "Components of the graph that the neurons learned, counted in two ways, and directions of their embedding "
        "(singular values above a tenth of the largest), by the number of independent modules in the data: mean over "
        "the trials and its 95 % interval; dashed, one a module, as the paper states of the components."
    ),
    "components.png": (
        "Learned graphs as matrices, neurons sorted by component; lines part components, and each title gives their "
        "number."
    ),
    "pseudotime.png": (
        "Neurons along the graph that they learned, against the mean pseudotime of the cells that activate them."
    ),
    "ring.png": (
        "Activity of the neurons of a ring as one object turns: red above, blue below each neuron's mean. Where the "
        "ring follows the object, the colours run along diagonals; each title gives the circular correlation."
    ),
    "reconstruction.png": (
        "Error of the reconstruction against the weight of each penalty on the embedding: median of the seeds, shaded "
        "from least to greatest; dashed, without a penalty."
    ),
    "supernodes.png": (
        "Mean activity of each neuron by class, scaled to its own range: white lines part the graph's components, "
        "which are to code one cluster each."
    ),
    "alignment.png": (
        "Change of the reconstructed image's ink along each dimension of each class's capsule: where capsules are "
        "aligned, columns have one colour."
    ),
}
_MIME = {".png": "image/png", ".gif": "image/gif"}


@dataclass(frozen=True)
class Row:
    """One claim, as text."""

    anchor: str
    claim: str
    says: str
    reading: str
    group: str
    source: str
    states: str
    reported: str
    measured: str
    interval: str
    condition: str
    n: str
    share: str
    verdict: str
    note: str
    why: str
    seeds: str


@dataclass(frozen=True)
class Figure:
    """One picture: its anchor, what it shows, and its bytes as a data URI."""

    anchor: str
    name: str
    caption: str
    uri: str


@dataclass(frozen=True)
class Study:
    """One study's section."""

    anchor: str
    name: str
    title: str
    paper: str
    section: str
    summary: list[str]
    outcome: list[str]
    parameters: list[tuple[str, str]]
    figures: list[Figure]
    groups: list[tuple[str, str, list[Row]]]
    lines: list[Line]


def render(
    title: str, claims: pd.DataFrame, studies: Mapping[str, Mapping[str, Any]], pictures: Mapping[str, bytes]
) -> str:
    """The page as HTML: nothing is loaded from elsewhere, and equal input gives equal text.

    `claims` has the columns of `results/claims.tsv`; `studies` says of each study title, paper, section, summary,
    `figures` (paths, keys of `pictures`) and `parameters` (nested, as in its entry). A figure `kl.png` of `tiny` is at
    `#tiny-kl`, one that is no PNG at `#tiny-traversal-gif`, a claim at `#claim-tiny-its-id`.

    Raises InputError if the ledger lacks a column or has a study or verdict that is unknown, if a picture is missing or
    neither PNG nor GIF, or if two things would share an anchor.
    """
    lacking = [column for column in COLUMNS if column not in claims.columns]
    if lacking:
        raise InputError(f"report: the ledger lacks {', '.join(lacking)}; it takes {', '.join(COLUMNS)}")
    for column, known in (("study", studies), ("verdict", VERDICTS)):
        strange = sorted(set(claims[column].map(_text)) - set(known))
        if strange:
            raise InputError(
                f"report: the ledger has {column} {', '.join(map(repr, strange))}; it takes {', '.join(known)}"
            )
    rows = [{str(column): _text(value) for column, value in claim.items()} for claim in claims.to_dict("records")]
    sections = [
        _study(name, entry, [row for row in rows if row["study"] == name], pictures) for name, entry in studies.items()
    ]
    _unique(sections)
    return rendered(
        "report.html", title=title, studies=sections, counts=_counts(rows), total=len(rows), verdicts=VERDICTS
    )


def _study(name: str, entry: Mapping[str, Any], claims: list[dict[str, str]], pictures: Mapping[str, bytes]) -> Study:
    rows = [_row(claim) for claim in claims]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group or f"\0{row.anchor}", []).append(row)
    return Study(
        anchor=_slug(name),
        name=name,
        title=_text(entry["title"]),
        paper=_text(entry["paper"]),
        section=_text(entry["section"]),
        summary=[" ".join(part.split()) for part in re.split(r"\n\s*\n", _text(entry["summary"])) if part.strip()],
        outcome=sentences(claims),
        parameters=_flat(entry["parameters"]),
        figures=[_figure(name, path, pictures) for path in entry["figures"]],
        groups=[(key if len(part) > 1 else "", _tally(part), part) for key, part in groups.items()],
        lines=[line(claim, anchor=row.anchor) for claim, row in zip(claims, rows, strict=True)],
    )


def _row(claim: Mapping[str, str]) -> Row:
    interval = f"[{number(claim['low'])}, {number(claim['high'])}]" if claim["low"] and claim["high"] else ""
    if interval and claim["interval"] != "95%":
        interval += " (least, greatest)" if claim["interval"].startswith("n<") else f" ({claim['interval']})"
    return Row(
        anchor=f"claim-{_slug(claim['study'])}-{_slug(claim['claim'])}",
        claim=claim["claim"],
        says=claim["says"],
        reading=claim["reading"],
        group=claim["group"],
        source=claim["source"],
        states=claim["states"],
        reported=claim["reported"],
        measured=number(claim["measured"]),
        interval=interval,
        condition=claim["holds_if"],
        n=claim["n"],
        share=f"{float(claim['share']):.0%}" if claim["share"] else "",
        verdict=claim["verdict"],
        note=claim["note"],
        why=claim["why"],
        seeds=claim["seeds"],
    )


def _figure(study: str, path: str, pictures: Mapping[str, bytes]) -> Figure:
    file = PurePath(path)
    if file.suffix not in _MIME:
        raise InputError(f"report: {path} is no picture that a page can hold; it takes {' or '.join(_MIME)}")
    if path not in pictures:
        raise InputError(f"report: study {study} has the figure {path}, which was not given")
    anchor = _slug(f"{study}-{file.stem}" + ("" if file.suffix == ".png" else f"-{file.suffix[1:]}"))
    uri = f"data:{_MIME[file.suffix]};base64,{base64.b64encode(pictures[path]).decode()}"
    return Figure(anchor=anchor, name=file.name, caption=CAPTIONS.get(file.name, file.stem), uri=uri)


def _counts(rows: list[dict[str, str]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """By paper, and last of our own: every verdict that there is, and how many statements or rows have it."""
    stated = statements(rows)
    verdicts = {
        by: [statement.verdict for statement in stated if statement.by == by]
        for by in dict.fromkeys(statement.by for statement in stated)
    }
    verdicts["our controls and questions"] = [row["verdict"] for row in own(rows)]
    return [
        (by, [(verdict, found.count(verdict)) for verdict in VERDICTS if verdict in found])
        for by, found in verdicts.items()
        if found
    ]


def _tally(rows: Sequence[Row]) -> str:
    counts = [(verdict, sum(row.verdict == verdict for row in rows)) for verdict in VERDICTS]
    return ", ".join(f"{count} {verdict}" for verdict, count in counts if count)


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested parameters as pairs of a dotted name and its text; lists of plain values stay on one line."""
    if isinstance(value, Mapping) and value:
        return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        return [(name, "; ".join(", ".join(f"{k} {v}" for k, v in _flat(part)) or _plain(part) for part in value))]
    return [(name, _plain(value))] if name else []


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        return ", ".join(map(_plain, value))
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _there(value: Any) -> bool:
    return not (value is None or value == "" or (isinstance(value, float) and math.isnan(value)))


def _text(value: Any) -> str:
    """A cell as text, nothing where it is missing."""
    return str(value) if _there(value) else ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def _unique(studies: Sequence[Study]) -> None:
    seen: set[str] = {"ledger", "reading"}
    for study in studies:
        claims = [row.anchor for _, _, rows in study.groups for row in rows]
        for anchor in [study.anchor, *(figure.anchor for figure in study.figures), *claims]:
            if anchor in seen:
                raise InputError(
                    f"report: two things of the page are named #{anchor}; rename a study, a claim or a figure"
                )
            seen.add(anchor)
