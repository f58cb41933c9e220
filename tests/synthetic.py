"""Made-up files of every step, in the formats of docs/files.md: small, quick, and with an answer that is known.

The first latent of `Sizes.strength` that is not 0 turns a bar; the others do nothing. Cluster 0 of every clustering is
the one that matters.
"""

import tarfile
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from interneuron import claims, io
from interneuron.seeds import generator, parse_block
from interneuron.workflow.config.kinds import KINDS


@dataclass(frozen=True)
class Sizes:
    """What the files hold: the defaults are the smallest that still show everything."""

    blocks: tuple[str, ...] = ("000-001",)
    alphas: tuple[float, ...] = (-1.0, 0.0, 1.0)
    height: int = 8
    width: int = 8
    classes: int = 4
    strength: tuple[float, ...] = (0.0, 1.0, 0.3)
    hidden: tuple[int, ...] = (6, 5)
    digit: int = 2
    draws: int = 16
    readings: tuple[tuple[str, int], ...] = (("activation", 16), ("A", 16))
    preferences: int = 8
    null_sets: int = 20
    study: str = "tiny"
    model: str = "vae-tiny"
    active: tuple[int, ...] = field(default=(1, 2))

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def latents(self) -> int:
        return len(self.strength)

    @property
    def layers(self) -> list[tuple[str, int]]:
        """The decoder's layers, the input first."""
        hidden = [(f"relu{at}", size) for at, size in enumerate(reversed(self.hidden), 1)]
        return [("input", self.latents + self.classes), *hidden, ("sigmoid", self.pixels)]

    @property
    def neurons(self) -> int:
        return sum(size for _, size in self.layers)


def write(folder: Path, sizes: Sizes | None = None) -> SimpleNamespace:
    """Write every file under `folder`, at the workflow's own paths; gives the paths: lists where each block has one."""
    sizes = sizes or Sizes()
    data = folder / f"data/prepared/{sizes.model}.safetensors"
    claims = folder / "results/claims.tsv"
    paths = SimpleNamespace(data=data, claims=claims, sizes=sizes)
    _prepared(data, sizes)
    io.save_table(claims, claims_table(sizes.study))
    makers = {
        "activations": (_activations, "safetensors"),
        "ace": (_ace, "safetensors"),
        "clusters": (_clusters, "parquet"),
        "sweep": (_sweep, "parquet"),
        "lesions": (_lesions, "parquet"),
        "null": (_null, "parquet"),
        "lesioned": (_lesioned, "safetensors"),
        "metrics": (_metrics, "parquet"),
    }
    for name in ("weights", "training", *makers):
        setattr(paths, name, [])
    for block in sizes.blocks:
        model = folder / "results/models" / sizes.model / block
        _weights(model / "weights.safetensors", sizes, parse_block(block))
        _training(model / "training.parquet", sizes, parse_block(block))
        paths.weights.append(model / "weights.safetensors")
        paths.training.append(model / "training.parquet")
        for name, (make, suffix) in makers.items():
            path = folder / "results/studies" / sizes.study / block / f"{name}.{suffix}"
            make(path, sizes, parse_block(block))
            getattr(paths, name).append(path)
    return paths


def script(name: str) -> ModuleType:
    """The module `scripts/{name}.py`, which is no package's."""
    spec = spec_from_file_location(f"script_{name}", Path(__file__).resolve().parent.parent / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Inputs(SimpleNamespace):
    """A rule's input files by name."""

    def get(self, name: str) -> Any:
        return getattr(self, name, [])


def run(step: str, inputs: dict[str, Any], output: Any, settings: dict[str, Any], **wildcards: Any) -> Any:
    """What a step made of files, as its rule would run it on one thread: `output` again."""
    first = output[0] if isinstance(output, list) else next(iter(vars(output).values()))
    job = SimpleNamespace(
        log=[str(Path(first).with_name("log.log"))],
        input=Inputs(**inputs),
        output=output,
        params=SimpleNamespace(settings=settings | {"code": "x"}),
        wildcards=SimpleNamespace(**wildcards),
        threads=1,
    )
    script(step).main(job)
    return output


def packed(contents: dict[str, bytes]) -> bytes:
    """Files by name as the tar archive that `pack` makes of them, here made by hand."""
    raw = BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(contents):
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(contents[name]), 0o644
            archive.addfile(about, BytesIO(contents[name]))
    return raw.getvalue()


def draw(paths: SimpleNamespace, output: Path, **settings: Any) -> Path:
    """Run the step `figures` on synthetic files; the output's name says which figure. It gets what it may read only."""
    usual = {"figure": output.stem, "digit": paths.sizes.digit, "active_above": 0.1, "fail_below": 0.5}
    job = SimpleNamespace(
        input=SimpleNamespace(
            **{name: getattr(paths, name) for name in ("training", *KINDS["neurons"].figures.get(output.name, []))}
        ),
        output=[str(output)],
        params=SimpleNamespace(settings=usual | settings),
        wildcards=SimpleNamespace(study=paths.sizes.study, figure=output.name),
    )
    script("figures").main(job)
    return output


def page(paths: SimpleNamespace, figures: list[Path], output: Path) -> Path:
    """Run the step `report` on the synthetic ledger and figures that were drawn."""
    study = {
        "title": "A tiny study of <bars>",
        "paper": "hui2022",
        "section": "chapter 3",
        "summary": "Bars turn,\nwhen a latent moves.\n\nTwo & three < four.",
        "figures": [str(path) for path in figures],
        "parameters": {
            "model": "vae-tiny",
            "ace": {"alphas": [-1, 0, 1], "draws": 16},
            "note": "<script>alert(1)</script>",
        },
    }
    job = SimpleNamespace(
        input=SimpleNamespace(claims=paths.claims, figures=study["figures"]),
        output=SimpleNamespace(page=str(output), metrics=str(output.with_suffix(".json"))),
        params=SimpleNamespace(settings={"title": "Interneuron", "studies": {paths.sizes.study: study}, "code": "0"}),
    )
    script("report").main(job)
    return output


def image(sizes: Sizes, latents: np.ndarray, digit: int) -> np.ndarray:
    """What the decoder makes of latents [latents]: a bar of the class's length, turned by the latents."""
    y, x = np.mgrid[: sizes.height, : sizes.width]
    y, x = (y + 0.5) / sizes.height * 2 - 1, (x + 0.5) / sizes.width * 2 - 1
    angle = 0.3 * float(np.dot(latents, sizes.strength)) + digit * np.pi / sizes.classes
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    length = 0.5 + 0.4 * (digit + 1) / sizes.classes
    return np.exp(-((across / 0.22) ** 2)) / (1 + np.exp((np.abs(along) - length) * 12))


def _traversal(sizes: Sizes, seed: int, latent: int, digit: int) -> np.ndarray:
    draw = generator(seed, "synthetic traversal").standard_normal(sizes.latents)
    images = []
    for alpha in sizes.alphas:
        draw[latent] = alpha
        images.append(image(sizes, draw, digit))
    return np.stack(images)


def _prepared(path: Path, sizes: Sizes) -> None:
    random = generator(0, "synthetic data")
    y = np.arange(10 * sizes.classes) % sizes.classes
    x = [image(sizes, random.standard_normal(sizes.latents), int(label)) for label in y]
    tensors = {
        "x": (np.stack(x) * 255).astype(np.uint8),
        "y": y.astype(np.int64),
        "split": (np.arange(len(y)) % 5 == 0).astype(np.uint8),
    }
    io.save_tensors(path, tensors, {"classes": sizes.classes, "scale": 255})


def _weights(path: Path, sizes: Sizes, seeds: range) -> None:
    encoder = [sizes.pixels + sizes.classes, *sizes.hidden, 2 * sizes.latents]
    decoder = [size for _, size in sizes.layers]
    shapes = {f"encoder.linear{at}": pair for at, pair in enumerate(pairwise(encoder), 1)}
    shapes |= {f"decoder.linear{at}": pair for at, pair in enumerate(pairwise(decoder), 1)}
    shapes["classifier"] = (decoder[0], sizes.classes)
    tensors = {}
    for name, (inputs, outputs) in shapes.items():
        draws = [generator(seed, name).standard_normal((outputs, inputs)) / np.sqrt(inputs) for seed in seeds]
        tensors[f"{name}.weight"] = np.stack(draws).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros((len(seeds), outputs), np.float32)
    arguments = {
        "latents": sizes.latents,
        "hidden": list(sizes.hidden),
        "pixels": sizes.pixels,
        "classes": sizes.classes,
    }
    io.save_tensors(path, tensors, {"architecture": "conditional-vae", "arguments": arguments, "seeds": list(seeds)})


def kl(sizes: Sizes, seed: int) -> np.ndarray:
    """KL divergence of every latent, in nats: it grows with the latent's strength."""
    noise = generator(seed, "synthetic kl").uniform(0.002, 0.03, sizes.latents)
    return np.asarray(sizes.strength) * 1.04 * (1 + noise) + noise


def _training(path: Path, sizes: Sizes, seeds: range) -> None:
    rows = []
    for seed in seeds:
        for iteration in (100, 200):
            for metric, start in (("loss", 900.0), ("reconstruction", 80.0), ("kl", 2.0), ("cross_entropy", 0.1)):
                rows.append((seed, iteration, "train", metric, start / iteration**0.5))
        rows += [(seed, 200, "test", f"kl:{latent}", value) for latent, value in enumerate(kl(sizes, seed))]
        rows.append((seed, 200, "test", "reconstruction", 6.0))
    table = pd.DataFrame(rows, columns=["seed", "iteration", "split", "metric", "value"])
    io.save_table(path, table)


def _activations(path: Path, sizes: Sizes, seeds: range) -> None:
    tensors = {}
    for seed in seeds:
        for latent in sizes.active:
            shape = (len(sizes.alphas), sizes.draws, sizes.neurons)
            values = generator(seed, "synthetic activations", latent).random(shape)
            values[:, :, latent] = np.asarray(sizes.alphas)[:, None]
            tensors[f"seed{seed}.digit{sizes.digit}.z{latent}"] = values.astype(np.float32)
    about = {
        "layers": sizes.layers,
        "alphas": sizes.alphas,
        "digits": [sizes.digit],
        "seeds": list(seeds),
        "latents": {str(seed): list(sizes.active) for seed in seeds},
    }
    io.save_tensors(path, tensors, about)


def _ace(path: Path, sizes: Sizes, seeds: range) -> None:
    tensors = {}
    hidden = sum(sizes.hidden)
    for seed in seeds:
        random = generator(seed, "synthetic ace")
        images = np.stack([_traversal(sizes, seed, latent, sizes.digit) for latent in range(sizes.latents)])
        centred = (images - images.mean(1, keepdims=True)).reshape(sizes.latents, len(sizes.alphas), -1)
        effect = np.concatenate([random.normal(0, 0.2, (*centred.shape[:2], hidden)), 0.7 * centred], axis=2)
        means = np.stack([image(sizes, np.zeros(sizes.latents), k) for k in range(sizes.classes)])
        by_class = (means - means.mean(0)).reshape(sizes.classes, -1)
        by_class = np.concatenate([random.normal(0, 0.2, (sizes.classes, hidden)), by_class], axis=1)
        name = f"seed{seed}.digit{sizes.digit}"
        tensors |= {
            f"{name}.effect": effect,
            f"{name}.error": np.full_like(effect, 0.01),
            f"{name}.baseline": np.tile(np.linspace(0.2, 0.4, hidden + sizes.pixels), (sizes.latents, 1)),
            f"{name}.taylor": effect * 0.9,
            f"{name}.published": effect + random.normal(0, 0.15, effect.shape),
            f"{name}.traversal": images.reshape(sizes.latents, len(sizes.alphas), -1),
            f"seed{seed}.class.effect": by_class,
            f"seed{seed}.class.error": np.full_like(by_class, 0.01),
            f"seed{seed}.class.baseline": np.full_like(by_class, 0.3),
            f"seed{seed}.class.published": by_class + random.normal(0, 0.1, by_class.shape),
        }
    about = {
        "layers": sizes.layers[1:],
        "alphas": sizes.alphas,
        "digits": [sizes.digit],
        "seeds": list(seeds),
        "draws": sizes.draws,
        "replicates": 2,
        "published_draws": 3,
    }
    io.save_tensors(path, {key: value.astype(np.float32) for key, value in tensors.items()}, about)


def _clusterings(sizes: Sizes, seeds: range) -> list[tuple[int, int, int, float, str, int, int]]:
    """seed, digit, latent, alpha, reading, draws of every clustering, and its number of clusters."""
    rows = []
    for seed in seeds:
        random = generator(seed, "synthetic clusterings")
        for latent in sizes.active:
            for alpha in sizes.alphas:
                for reading, draws in sizes.readings:
                    rows.append((seed, sizes.digit, latent, alpha, reading, draws, int(random.integers(3, 8))))
    return rows


def names(sizes: Sizes) -> list[str]:
    """Neurons as `layer:index`, in the order of the neuron axis."""
    return [f"{layer}:{index}" for layer, size in sizes.layers for index in range(size)]


def _labels(sizes: Sizes, clustering: tuple[int, int, int, float, str, int, int]) -> np.ndarray:
    seed, _, latent, alpha, reading, draws, count = clustering
    at = [sizes.readings.index((reading, draws)), sizes.alphas.index(alpha)]
    random = generator(seed, "synthetic labels", latent, *at)
    share = np.sort(random.dirichlet(np.full(count, 1.5)))[::-1]
    drawn = np.concatenate([np.arange(count), random.choice(count, sizes.neurons - count, p=share)])
    order = np.argsort(-np.bincount(drawn), kind="stable")
    labels = np.argsort(order)[drawn]
    labels = random.permutation(labels)
    labels[sizes.latents + (sizes.digit + 1) % sizes.classes] = -1
    return labels


def _clusters(path: Path, sizes: Sizes, seeds: range) -> None:
    parts = []
    for clustering in _clusterings(sizes, seeds):
        labels = _labels(sizes, clustering)
        part = pd.DataFrame({"neuron": names(sizes), "cluster": labels.astype(np.int64)})
        part["exemplar"] = ~part["cluster"].duplicated() & (part["cluster"] >= 0)
        part["converged"] = clustering[6] != 3
        parts.append(_key(part, clustering))
    io.save_table(path, pd.concat(parts, ignore_index=True))


def _sweep(path: Path, sizes: Sizes, seeds: range) -> None:
    parts = []
    for clustering in _clusterings(sizes, seeds):
        median, chosen = 0.02, clustering[6]
        distance = np.concatenate([[0.0], np.geomspace(0.05, 100, sizes.preferences - 1)])
        counts = np.maximum(2, np.round(sizes.neurons / 6 / (1 + 4 * distance) ** 0.6)).astype(np.int64)
        number = np.arange(sizes.preferences)
        level = (number >= sizes.preferences - 4) & (number < sizes.preferences - 1)
        counts[:-4] = np.maximum(counts[:-4], chosen + 1)
        counts[level], counts[-1] = chosen, chosen - 1
        part = pd.DataFrame({"preference": median - distance, "clusters": counts, "converged": True})
        part.loc[part.index[1:3], "converged"] = False
        part["iterations"] = np.where(part["converged"], 120, 1000).astype(np.int64)
        part["silhouette"] = np.where(part["converged"], 0.2, np.nan)
        part["median"] = distance == 0
        part["plateau"] = level
        part["chosen"] = number == sizes.preferences - 3
        part["reported"] = False
        if chosen == 3:
            part.loc[part.index[-4:], ["converged", "plateau"]] = False
        part["constant"] = 1
        part["vectors"] = 9
        beside = {"preference": 0.1, "clusters": chosen + 5, "converged": chosen != 3, "silhouette": np.nan}
        beside |= dict.fromkeys(("median", "plateau", "chosen"), False) | {"reported": True}
        part = pd.concat([part, part.iloc[:1].assign(**beside)])
        parts.append(_key(part, clustering))
    io.save_table(path, pd.concat(parts, ignore_index=True))


def _key(part: pd.DataFrame, clustering: tuple[int, int, int, float, str, int, int]) -> pd.DataFrame:
    columns = ("seed", "digit", "latent", "alpha", "reading", "draws")
    for at, (column, value) in enumerate(zip(columns, clustering, strict=False)):
        part.insert(at, column, value)
    return part


def _lesion_rows(sizes: Sizes, seeds: range) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    where = np.repeat(np.arange(len(sizes.layers)), [size for _, size in sizes.layers])
    last = len(sizes.layers) - 1
    for seed in seeds:
        for latent in sizes.active:
            plain = {"seed": seed, "digit": sizes.digit, "latent": latent, "alpha": np.nan, "reading": "", "draws": 0}
            rows.append(_lesion(plain, "intact", -1, "all", "none", np.empty(0, int), last, 0.97, True))
    important: dict[tuple[int, int, float], np.ndarray] = {}
    for clustering in _clusterings(sizes, seeds):
        seed, digit, latent, alpha, reading, draws, count = clustering
        labels = _labels(sizes, clustering)
        key = {"seed": seed, "digit": digit, "latent": latent, "alpha": alpha, "reading": reading, "draws": draws}
        for scope in ("all", "hidden"):
            for ablation in ("zero", "mean"):
                for cluster in range(count):
                    accuracy = 0.08 + 0.03 * (ablation == "mean") if cluster == 0 else 0.9 - 0.3 / cluster
                    members = _scoped(where[labels == cluster], scope, last)
                    rows.append(_lesion(key, "cluster", cluster, scope, ablation, members, last, accuracy, count != 3))
                largest = _scoped(where[labels == 0], scope, last)
                rows.append(_lesion(key, "important", 0, scope, ablation, largest, last, 0.08, count != 3))
                if reading == "activation":
                    important[seed, latent, alpha] = labels == 0
                else:
                    both = important[seed, latent, alpha] & (labels == 0)
                    members = _scoped(where[both], scope, last)
                    rows.append(_lesion(key, "critical", -1, scope, ablation, members, last, 0.45, count != 3))
    return rows


def _scoped(layers: np.ndarray, scope: str, last: int) -> np.ndarray:
    return layers if scope == "all" else layers[(layers > 0) & (layers < last)]


def _lesion(
    key: dict[str, object], kind: str, cluster: int, scope: str, ablation: str, members: np.ndarray, last: int,
    accuracy: float, converged: bool,
) -> dict[str, object]:  # fmt: skip
    inputs, pixels = int((members == 0).sum()), int((members == last).sum())
    compared = kind in ("important", "critical")
    return {
        **key, "set": kind, "cluster": cluster, "scope": scope, "ablation": ablation, "neurons": len(members),
        "hidden": len(members) - inputs - pixels, "inputs": inputs, "pixels": pixels, "converged": converged,
        "images": 1000, "accuracy": accuracy, "taken_for": 1, "mse": 0.05, "ssim": 0.6,
        "null_accuracy": accuracy + 0.02 if compared else np.nan,
        "null_mean": 0.6 if compared else np.nan, "null_sd": 0.1 if compared else np.nan,
        "z": (accuracy - 0.58) / 0.1 if compared else np.nan, "p": 0.0476 if compared else np.nan,
    }  # fmt: skip


def _lesions(path: Path, sizes: Sizes, seeds: range) -> None:
    io.save_table(path, pd.DataFrame(_lesion_rows(sizes, seeds)))


def _null(path: Path, sizes: Sizes, seeds: range) -> None:
    columns = ("seed", "digit", "latent", "alpha", "reading", "draws", "set", "scope", "ablation")
    rows = []
    for row in _lesion_rows(sizes, seeds):
        if row["set"] in ("important", "critical"):
            random = generator(int(str(row["seed"])), f"synthetic null {row['set']} {row['alpha']} {row['reading']}")
            for sample, accuracy in enumerate(random.beta(6, 4, sizes.null_sets)):
                rows.append({column: row[column] for column in columns} | {"sample": sample, "accuracy": accuracy})
    io.save_table(path, pd.DataFrame(rows))


def _lesioned(path: Path, sizes: Sizes, seeds: range) -> None:
    tensors = {}
    seed = seeds[0]
    latent = int(np.argmax(kl(sizes, seed)))
    intact = _traversal(sizes, seed, latent, sizes.digit).reshape(len(sizes.alphas), -1)
    random = generator(seed, "synthetic lesioned")
    for _, digit, z, alpha, reading, _, count in _clusterings(sizes, range(seed, seed + 1)):
        if z == latent:
            images = [intact]
            for cluster in range(count):
                keep = random.random(intact.shape) > (0.8 if cluster == 0 else 0.1)
                images.append(intact * keep)
            key = f"digit{digit}.alpha{sizes.alphas.index(alpha)}.{reading}"
            tensors[key] = (np.stack(images) * 255).astype(np.uint8)
    io.save_tensors(path, tensors, {"seed": seed, "latent": latent, "alphas": sizes.alphas, "digits": [sizes.digit]})


def _metrics(path: Path, sizes: Sizes, seeds: range) -> None:
    rows: list[dict[str, object]] = []
    for seed in seeds:
        nats = kl(sizes, seed)
        rows.append({"level": "model", "seed": seed, "active": float((nats > 0.1).sum()), "reconstruction": 6.0})
        for rank, latent in enumerate(np.argsort(-nats)):
            rows.append({"level": "latent", "seed": seed, "latent": int(latent), "rank": rank, "kl": nats[latent]})
    for seed, digit, latent, alpha, reading, draws, count in _clusterings(sizes, seeds):
        key = {"digit": digit, "latent": latent, "rank": sizes.active.index(latent), "alpha": alpha, "reading": reading}
        rows.append({"level": "clustering", "seed": seed, **key, "draws": draws, "clusters": float(count)})
    table = pd.DataFrame(rows)
    for column in ("digit", "latent", "rank", "draws"):
        table[column] = table[column].fillna(-1).astype(np.int64)
    table["reading"] = table["reading"].fillna("")
    io.save_table(path, table)


def claims_table(study: str = "tiny") -> pd.DataFrame:
    """A ledger with every verdict in it, a group, and text that HTML must escape."""
    common = {"source": "hui2022, section 3", "says": "paper"}
    rows = [
        ({"id": "t1-active-latents", "states": "exactly one latent changes the image", "reported": "1",
          "holds_if": "median == 1", "why": "beta is not the thesis's"}, "2 2 2 2 2 3 3 3 1 2"),
        ({"id": "t6-clusters-0", "group": "t6", "states": "11 clusters of activations at alpha = 0",
          "reading": "3 draws", "reported": "11", "holds_if": "median in [9, 13]"}, "8 9 10 10 10 11 11 12 8 12"),
        ({"id": "t6-clusters-1", "group": "t6", "states": "10 clusters of activations at alpha = 1",
          "reported": "10", "holds_if": "median in [8, 12]"}, "9 10 10 10 10 11 11 12 9 9"),
        ({"id": "t7-important", "states": "without it the digit is lost: accuracy < 0.5 & <b>SSIM</b>",
          "reported": "accuracy < 0.5", "holds_if": "median < 0.5"}, "0.0712346 0.0912346"),
        ({"id": "t9-clusters", "states": "8 clusters", "reported": "8"}, "5 6 7 9 10 10"),
        ({"id": "t9-sizes", "states": "the largest has 586 neurons", "reported": "586"}, "5 6 7 9 10 10"),
        ({"id": "i-control", "source": "interneuron", "says": "control", "states": "noise has no clusters",
          "reported": "none", "holds_if": "median == 0"}, "0 0 0 0 0 0"),
        ({"id": "t2-blurry", "states": "images are a bit blurry", "reported": "by eye",
          "not_comparable": "no number is given: \"a bit\" > nothing"}, ""),
    ]  # fmt: skip
    found = []
    for entry, values in rows:
        claim = common | {"statement": entry.get("group") or entry["id"]} | entry
        n = len(values.split())
        seeds = {"values": values, "seeds": f"0-{n - 1}" if n else "", "of": n, "code": "0123abcd"}
        found.append({"study": study, "claim": claim["id"]} | claims.judged(claim, values, n) | seeds)
    return claims.table(found)


# Figures that can be drawn from these files: those of studies of neurons.
FIGURES = sorted(KINDS["neurons"].figures)
