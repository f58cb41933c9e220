"""What each step's files amount to: metrics, as tables with a row a seed and thing measured."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError

KEYS = ("level", "seed", "digit", "latent", "rank", "alpha", "reading", "draws", "scope", "ablation")
_CLUSTERING = ["seed", "digit", "latent", "alpha", "reading", "draws"]
_LESION = ["scope", "ablation"]
SCOPES, ABLATIONS = ("all", "hidden"), ("zero", "mean")
# Neighbouring preferences with one number of clusters that make it a stable one.
STABLE = 3


def divergences(training: pd.DataFrame) -> pd.DataFrame:
    """KL divergence of every latent on the test split, in nats: columns seed, latent, kl, rank (0 is the largest).

    `training` has the columns of training.parquet; its rows `kl:<latent>` are used. Raises InputError if there are
    none.
    """
    rows = _last(training)
    rows = rows[rows["metric"].str.startswith("kl:")]
    if rows.empty:
        raise InputError("divergences: the training table has no rows 'kl:<latent>' of the test split")
    result = pd.DataFrame(
        {"seed": rows["seed"], "latent": rows["metric"].str.removeprefix("kl:").astype("int64"), "kl": rows["value"]}
    ).sort_values(["seed", "kl", "latent"], ascending=[True, False, True], ignore_index=True)
    result["rank"] = result.groupby("seed").cumcount()
    return result


def model(training: pd.DataFrame, judge: pd.DataFrame, active_above: float) -> pd.DataFrame:
    """Metrics of the trained network, a row a seed, from its training table and its judge's.

    `active_latents`: latents with a KL above `active_above` nats; `reconstruction`, `kl`: losses on the test split,
    nats a sample; `judge_accuracy`: the judge's accuracy on the real test images (its first seed's).
    """
    last = _last(training)
    result = last[last["metric"].isin(["reconstruction", "kl"])].pivot(index="seed", columns="metric", values="value")
    active = divergences(training).assign(active=lambda d: d["kl"] > active_above).groupby("seed")["active"].sum()
    judged = _last(judge)
    judged = judged[(judged["metric"] == "accuracy") & (judged["seed"] == judged["seed"].min())]
    if len(judged) != 1:
        raise InputError(
            f"model: the judge's training table has {len(judged)} rows 'accuracy' of the test split, not one"
        )
    result["active_latents"] = active.astype(float)
    result["judge_accuracy"] = float(judged["value"].iloc[0])
    return result.rename_axis(columns=None).reset_index()


def moments(images: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orientation and size of images by their second moments.

    With intensity-weighted central moments `m_pq = sum x^p y^q I / sum I` (x to the right, y upwards), the angle of the
    long axis is `1/2 atan2(2 m_11, m_20 - m_02)` in radians, anticlockwise from the x axis (Hu 1962), and the size is
    the radius of gyration `sqrt(m_20 + m_02)` in pixels. The angle is unwrapped along the first axis with period pi:
    a half turn gives the same axis.

    Shape: images [n, h, w], non-negative; both results [n]. Raises InputError for other shapes or an empty image.
    """
    x = _numbers("moments: images", images)
    if x.ndim != 3 or not len(x) or (x < 0).any() or not (x.sum((1, 2)) > 0).all():
        raise InputError(f"moments: images of shape {x.shape}; it takes [n, h, w], none below 0 and none all 0")
    h, w = x.shape[1:]
    weight = x / x.sum((1, 2), keepdims=True)
    right, up = np.arange(w)[None, None, :], -np.arange(h)[None, :, None]
    dx = right - (weight * right).sum((1, 2), keepdims=True)
    dy = up - (weight * up).sum((1, 2), keepdims=True)
    m20, m02, m11 = ((weight * m).sum((1, 2)) for m in (dx * dx, dy * dy, dx * dy))
    return np.unwrap(np.arctan2(2 * m11, m20 - m02) / 2, period=np.pi), np.sqrt(m20 + m02)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation of two vectors, average ranks for ties; NaN if one of them is constant.

    Raises InputError for vectors of different lengths, none, and NaN or infinite numbers, which have no rank.
    """
    first = _numbers("rank_correlation: values", x, "n", least=1)
    return _correlation(_ranks(first), _ranks(_numbers("rank_correlation: values", y, len(first))))


def latents(
    effect: ArrayLike,
    error: ArrayLike,
    published: ArrayLike,
    baseline: ArrayLike,
    alphas: ArrayLike,
    height: int,
    width: int,
) -> pd.DataFrame:
    """Metrics of every latent's average causal effect on the pixels, a row a latent.

    `effect_min`, `effect_max`, `effect_range` over pixels and alphas; `effect_error`: root mean square standard
    error; `move`: largest root mean square difference over the pixels between the mean images at two alphas;
    `effect_order`: mean correlation of the maps at neighbouring alphas (1: they change smoothly, 0: no order);
    `effect_like_image`: correlation of the positive part of the map at an alpha with the mean image at it, mean over
    the alphas; `rotation`, `shrinking`: |Spearman correlation| of the mean image's angle and size (`moments`) with
    alpha; `turn`: range of the angle, degrees; `scaling`: least over greatest size. Between the least alpha and the
    greatest: `end_turn`, the absolute difference of the angle, degrees; `end_shrinking`, 1 minus the smaller over the
    larger size; `clockwise_as_smaller`, 1 if the image turns clockwise, as seen, on the way from the larger one to the
    smaller (the angle, anticlockwise with y upwards, falls), else 0: the same if alpha's sign is turned round; NaN if
    one of them does not change. `published_*`: the same of the effect as published; `published_noise`: root mean
    square of its difference to `effect`.

    Shapes: effect, error, published [latents, alphas, pixels], baseline [latents, pixels]: the mean image at an
    alpha is baseline + effect. Raises InputError for other shapes, and NaN.
    """
    effect, error, published = (checks.numbers("latents: effects", a) for a in (effect, error, published))
    baseline = checks.numbers("latents: baselines", baseline)
    alphas = checks.numbers("latents: alphas", alphas, "alphas", least=1)
    if (
        baseline.ndim != 2
        or effect.ndim != 3
        or effect.shape[-1] != height * width
        or {effect.shape, error.shape, published.shape} != {(len(baseline), len(alphas), baseline.shape[-1])}
    ):
        raise InputError(
            f"latents: effects of shape {effect.shape} and a baseline of shape {baseline.shape} do not fit "
            f"{len(alphas)} alphas and images of {height} x {width}"
        )
    rows = []
    for i in range(len(effect)):
        e, f = (np.asarray(a[i], np.float64) for a in (effect, published))
        images = np.clip(baseline[i] + e, 0, None)
        angle, size = moments(images.reshape(-1, height, width))
        ends = [int(np.argmin(alphas)), int(np.argmax(alphas))]
        turned, grown = np.diff(angle[ends])[0], np.diff(size[ends])[0]
        squares = ((e[:, None] - e[None]) ** 2).mean(-1)
        row = {
            "latent": i,
            "effect_range": e.max() - e.min(),
            "effect_error": _rms(error[i]),
            "move": float(np.sqrt(squares.max())),
            "rotation": abs(rank_correlation(angle, alphas)),
            "turn": float(np.degrees(np.ptp(angle))),
            "shrinking": abs(rank_correlation(size, alphas)),
            "scaling": size.min() / size.max(),
            "end_turn": float(np.degrees(abs(turned))),
            "end_shrinking": 1 - size[ends].min() / size[ends].max(),
            "clockwise_as_smaller": float(turned * grown > 0) if turned * grown else np.nan,
            "published_noise": _rms(f - e),
        }
        for name, map_ in (("effect", e), ("published", f)):
            row[f"{name}_min"], row[f"{name}_max"] = map_.min(), map_.max()
            row[f"{name}_order"] = _mean(_correlation(a, b) for a, b in pairwise(map_))
            row[f"{name}_like_image"] = _mean(
                _correlation(np.clip(a, 0, None), b) for a, b in zip(map_, images, strict=True)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def roles(latents: pd.DataFrame, active_above: float, moves_above: float) -> dict[str, float]:
    """What a seed's latents do, taken together, from the rows of `latents` joined with their `kl`.

    `moving_latents`: latents whose `move` is above `moves_above`; `roles_split`: 1 if of the active ones (KL above
    `active_above`) the one that turns the image most is not the one that scales it most (NaN with fewer than two);
    of the others, NaN if there are none: `collapsed_effect_max`, the largest |effect| of any of them;
    `collapsed_published_max_median`, the median over them of each one's largest |effect| as published;
    `collapsed_*_order`, `collapsed_*_like_image`, the mean order and likeness.
    """
    active, collapsed = latents[latents["kl"] > active_above], latents[latents["kl"] <= active_above]
    split = float(active["turn"].idxmax() != active["scaling"].idxmin()) if len(active) > 1 else np.nan
    result = {"moving_latents": float((latents["move"] > moves_above).sum()), "roles_split": split}
    greatest = {name: collapsed[[f"{name}_min", f"{name}_max"]].abs().max(axis=1) for name in ("effect", "published")}
    result["collapsed_effect_max"] = float(greatest["effect"].max())
    result["collapsed_published_max_median"] = float(greatest["published"].median())
    for name in greatest:
        for what in ("order", "like_image"):
            result[f"collapsed_{name}_{what}"] = float(collapsed[f"{name}_{what}"].mean())
    return result


def sharpness(images: ArrayLike) -> float:
    """Root mean square gradient of images [n, h, w] by central differences: blur lowers it."""
    x = _numbers("sharpness: images", images)
    if x.ndim != 3 or min(x.shape[1:]) < 2 or not len(x):
        raise InputError(f"sharpness: images of shape {x.shape}; it takes [n, h, w], at least 2 x 2 pixels")
    rows, columns = np.gradient(x, axis=(1, 2))
    return float(np.sqrt(np.mean(rows**2 + columns**2)))


def class_means(x: ArrayLike, y: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Mean image of every class: x [n, h, w], y [n] -> [classes, h * w].

    Raises InputError for a class without images, another shape, and NaN.
    """
    x = checks.numbers("class_means: images", x, "n", "height", "width", least=1)
    y = checks.whole("class_means: classes", y, len(x))
    counts = np.bincount(y[y >= 0], minlength=classes)
    if (y < 0).any() or len(counts) > classes or (counts == 0).any():
        raise InputError(
            f"class_means: images by class number {counts.tolist()}; it takes some of each of {classes} classes"
        )
    return np.stack([x[y == k].mean(0, dtype=np.float64).ravel() for k in range(classes)])


def classes(
    effect: ArrayLike,
    error: ArrayLike,
    published: ArrayLike,
    means: ArrayLike,
) -> dict[str, float]:
    """Metrics of the average causal effects of the classes on the pixels, over all classes.

    `class_effect_min`, `class_effect_max`, and `class_published_*` of the effect as published;
    `class_effect_negative_share`: mean share of the pixels that are below -3 standard errors and below -0.01;
    `class_maps_positive`: share of the classes without such a pixel; `class_maps_recognised`: share of the classes
    whose map correlates better with their own contrast than with any other class's (contrast of k: mean image of k
    minus the mean of the other classes' mean images); a map or a contrast that is the same everywhere correlates with
    nothing.

    Shapes: all [classes, pixels]; `means` are the classes' mean images. Raises InputError for other shapes, and NaN.
    """
    effect, error, published = (checks.numbers("classes: effects", a) for a in (effect, error, published))
    means = checks.numbers("classes: mean images", means, "classes", "pixels")
    if not means.size or len({effect.shape, error.shape, published.shape, means.shape}) > 1 or len(means) < 2:
        raise InputError(
            f"classes: effects of shape {effect.shape} and mean images of shape {means.shape}; they must agree"
        )
    negative = (effect < -3 * error) & (effect < -0.01)
    contrast = means - (means.sum(0) - means) / (len(means) - 1)
    maps = effect.astype(np.float64)
    with np.errstate(invalid="ignore"):
        likeness = np.corrcoef(maps, contrast)[: len(means), len(means) :]
    likeness[:, ~_varies(contrast)] = -np.inf
    known = _varies(maps) & np.isfinite(likeness).any(1)
    return {
        "class_effect_min": float(effect.min()),
        "class_effect_max": float(effect.max()),
        "class_published_min": float(published.min()),
        "class_published_max": float(published.max()),
        "class_effect_negative_share": float(negative.mean()),
        "class_maps_positive": float((~negative.any(1)).mean()),
        "class_maps_recognised": float((known & (likeness.argmax(1) == np.arange(len(means)))).mean()),
    }


def centred_ranks_equal(activations: ArrayLike) -> float:
    """Share of the neurons whose ranks over the draws, ties included, stay at every alpha when a constant a neuron is
    subtracted: its mean over alphas and draws, the baseline of the thesis's average causal effect.

    Each difference is a sum of two float64 without rounding (TwoSum; Knuth, The Art of Computer Programming 2, section
    4.2.2): rounded to one, values much closer to each other than to the baseline would become equal. Shape: [alphas,
    draws, neurons], float32 or float64; a neuron with an infinite activation has no differences, and its ranks do not
    stay. Raises InputError for other shapes, and NaN.
    """
    x: Any = activations
    if not isinstance(x, np.ndarray) or np.ma.is_masked(x) or x.dtype.kind != "f" or np.isnan(x).any():
        x = checks.numbers("centred_ranks_equal: activations", activations)
    if x.ndim != 3 or not x.size:
        raise InputError(f"centred_ranks_equal: activations of shape {x.shape}; it takes [alphas, draws, neurons]")
    baseline = x.mean((0, 1), dtype=np.float64)[:, None]
    equal = np.isfinite(baseline[:, 0])
    for values in x:
        # Ranks stay if the sorted values, centred, rise where they rose and fall nowhere.
        ordered = np.sort(values.T, axis=1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            high = ordered - baseline
            part = high - ordered
            low = (ordered - (high - part)) - (baseline + part)
            step, rest, rose = (np.diff(a, axis=1) for a in (high, low, ordered))
        step = np.where(step == 0, rest, step)
        equal &= ((step > 0) == (rose > 0)).all(1) & (step >= 0).all(1)
    return float(equal.mean())


def adjusted_rand(a: ArrayLike, b: ArrayLike) -> float:
    """Adjusted Rand index of two labellings (Hubert and Arabie 1985, eq. 5): 1 for the same partition, 0 expected by
    chance. Raises InputError if they differ in length or are empty, and for NaN, which is no label."""
    first, second = (checks.labels("adjusted_rand: labels", labels) for labels in (a, b))
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InputError(
            f"adjusted_rand: labels of shapes {first.shape} and {second.shape}; it takes two alike, not empty"
        )
    _, i = np.unique(first, return_inverse=True)
    _, j = np.unique(second, return_inverse=True)
    return agreement(
        np.bincount(i * (j.max() + 1) + j, minlength=(i.max() + 1) * (j.max() + 1)).reshape(i.max() + 1, -1)
    )


def agreement(counts: ArrayLike) -> float:
    """The adjusted Rand index from the table of counts [a, b] of two labellings.

    Raises InputError for anything but a table of whole numbers of at least 0 with a sample in it.
    """
    table = checks.whole("agreement: counts", counts)
    if table.ndim != 2 or (table < 0).any() or not table.sum():
        raise InputError(
            f"agreement: counts have the shape {list(table.shape)}; it takes whole numbers of 0 up, [a, b], not all 0"
        )
    together, rows, columns, pairs = (
        float((n * (n - 1) // 2).sum()) for n in (table, table.sum(1), table.sum(0), table.sum())
    )
    expected = rows * columns / pairs if pairs else 0.0
    greatest = (rows + columns) / 2
    return 1.0 if greatest == expected else (together - expected) / (greatest - expected)


def clusterings(clusters: pd.DataFrame, sweep: pd.DataFrame) -> pd.DataFrame:
    """Metrics of every clustering, a row each, from the tables clusters and sweep.

    `converged`; `clusters`, `largest`, `smallest` (neurons); `constant`: neurons set apart; `vectors`: distinct rank
    vectors of the others, and `clusters_to_vectors`, clusters over these; `preference`;
    `plateau_points`: swept preferences on the chosen plateau, 0 if there is none; `plateau_cut_off`: 1 if it reaches
    the last preference of the sweep, so that its end is unknown; `plateau_clusters`: `clusters` where the plateau has
    three preferences or more and is not cut off, NaN elsewhere, where their number depends on the sweep;
    `median_converged`, `clusters_at_median`: at scikit-learn's default preference; `clusters_at_reported`: at the
    preference that a paper names; `silhouette_clusters`: clusters where the mean silhouette is best. Where a run did
    not converge, or was not made, its numbers are NaN.
    """
    rows = []
    sizes = _groups(clusters)
    for key, runs in _groups(sweep).items():
        chosen, median = runs[runs["chosen"]], runs[runs["median"]]
        if len(chosen) != 1 or key not in sizes:
            raise InputError(
                f"clusterings: {dict(zip(_CLUSTERING, key, strict=True))} has {len(chosen)} chosen runs, not one"
            )
        run = chosen.iloc[0]
        reported, runs = runs[runs["reported"] & runs["converged"]], runs[~runs["reported"]]
        points, cut_off = int(runs["plateau"].sum()), bool(runs.sort_values("preference")["plateau"].iloc[0])
        members = sizes[key]["cluster"]
        members = members[members >= 0].value_counts()
        silhouette = runs[runs["converged"] & runs["silhouette"].notna()].sort_values("silhouette")
        ok = bool(run["converged"])
        at_median = len(median) and bool(median["converged"].iloc[0])
        rows.append(
            dict(zip(_CLUSTERING, key, strict=True))
            | {
                "converged": float(ok),
                "clusters": float(run["clusters"]) if ok else np.nan,
                "largest": float(members.max()) if ok else np.nan,
                "smallest": float(members.min()) if ok else np.nan,
                "constant": float(run["constant"]),
                "vectors": float(run["vectors"]),
                "clusters_to_vectors": float(run["clusters"] / run["vectors"]) if ok else np.nan,
                "preference": float(run["preference"]),
                "plateau_points": float(points),
                "plateau_cut_off": float(cut_off),
                "plateau_clusters": float(run["clusters"]) if points >= STABLE and not cut_off else np.nan,
                "median_converged": float(median["converged"].iloc[0]) if len(median) else np.nan,
                "clusters_at_median": float(median["clusters"].iloc[0]) if at_median else np.nan,
                "clusters_at_reported": float(reported["clusters"].iloc[0]) if len(reported) else np.nan,
                "silhouette_clusters": float(silhouette["clusters"].iloc[-1]) if len(silhouette) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def null_fails(null: pd.DataFrame, fail_below: float) -> "pd.Series[float]":
    """Share of the random sets that lose the digit as well (accuracy below `fail_below`), indexed by clustering, set,
    scope and ablation. `null` has the columns of null.parquet."""
    fails = null.assign(fails=(null["accuracy"] < fail_below).astype(float))
    return fails.groupby([*_CLUSTERING, "set", *_LESION])["fails"].mean()


def cluster_lesions(
    lesions: pd.DataFrame, clusterings: pd.DataFrame, null: pd.DataFrame, fail_below: float
) -> pd.DataFrame:
    """Metrics of the lesions of single clusters, a row a clustering, scope and ablation; NaN where it did not converge.

    `failing_clusters`: clusters without which the accuracy is below `fail_below`; `lowest_accuracy`; `gap`: second
    lowest minus lowest; `important_neurons`, `important_hidden`, `important_accuracy`, `important_z`, `important_p`: of
    the cluster whose lesion hurts most; `important_p_adjusted`: min(1, K p), as it is the worst of K clusters
    (Bonferroni); `important_fails`: 1 if its accuracy is below `fail_below`; `important_null_fails`: share of its
    random sets whose accuracy is; `taken_for`: the class that its images are mostly taken for when wrong (NaN if it
    does not fail). An empty set has p = 1.
    """
    counted = lesions[lesions["converged"].astype(bool)]
    single = counted[counted["set"] == "cluster"]
    compared = single.groupby(_CLUSTERING)["cluster"].nunique().to_dict()
    random = null_fails(null, fail_below).to_dict()
    rows: dict[Any, dict[str, float]] = {}
    for key, part in _groups(single, _CLUSTERING + _LESION).items():
        accuracy = np.sort(part["accuracy"].to_numpy(float))
        rows[key] = {"failing_clusters": float((accuracy < fail_below).sum()), "lowest_accuracy": accuracy[0]}
        rows[key]["gap"] = accuracy[1] - accuracy[0] if len(accuracy) > 1 else np.nan
    for key, part in _groups(counted[counted["set"] == "important"], _CLUSTERING + _LESION).items():
        result = _lesion("important", key, part.iloc[0], random, fail_below)
        result["important_p_adjusted"] = float(np.minimum(1, compared.get(key[:6], np.nan) * result["important_p"]))
        wrong = result["important_fails"] and part["taken_for"].iloc[0] >= 0
        result["taken_for"] = float(part["taken_for"].iloc[0]) if wrong else np.nan
        rows[key] = rows.get(key, {}) | result
    metrics = ["failing_clusters", "lowest_accuracy", "gap", *_lesion_metrics("important")]
    return _complete(clusterings, rows, [*metrics, "important_p_adjusted", "taken_for"])


def pairs(clusters: pd.DataFrame) -> pd.DataFrame:
    """How the clusters of each reading of the effects compare with those of the activations at the same alpha.

    A row a reading and number of draws, compared with the activations of the same draws (or, where there are none, of
    the most): `ari`, the adjusted Rand index over the neurons that both cluster (constant ones are in no cluster);
    `identical`: 1 if the partitions of those are the same; `clusters_difference`: clusters of the activations minus
    those of the effects. NaN unless both converged.
    """
    groups = _groups(clusters)
    rows = []
    for key, part in groups.items():
        if key[4] == "activation":
            continue
        others = {k[5]: k for k in groups if k[:5] == (*key[:4], "activation")}
        if not others:
            raise InputError(f"pairs: no activation clusters beside {dict(zip(_CLUSTERING, key, strict=True))}")
        other = groups[others[_draws(others, key[5])]]
        row = dict(zip(_CLUSTERING, key, strict=True)) | dict.fromkeys(
            ("ari", "identical", "clusters_difference"), np.nan
        )
        if part["converged"].all() and other["converged"].all():
            a, b = part.set_index("neuron")["cluster"].align(other.set_index("neuron")["cluster"], join="inner")
            both = (a >= 0) & (b >= 0)
            if both.any():
                row["ari"] = adjusted_rand(a[both], b[both])
                row["identical"] = float(row["ari"] == 1)
            row["clusters_difference"] = float(b[b >= 0].nunique() - a[a >= 0].nunique())
        rows.append(row)
    return pd.DataFrame(rows, columns=[*_CLUSTERING, "ari", "identical", "clusters_difference"])


def critical_lesions(
    lesions: pd.DataFrame, pairs: pd.DataFrame, null: pd.DataFrame, fail_below: float, degrades_by: float = 0.05
) -> pd.DataFrame:
    """Metrics of the critical sets (what the important clusters of the activations and of the effects have in common),
    a row a pair of clusterings, scope and ablation; NaN where they did not converge.

    `critical_neurons`, `critical_hidden`, `critical_accuracy`, `critical_z`, `critical_p` (not corrected for the choice
    of the two clusters; an empty set has p = 1); `critical_nonempty`, `critical_fails` (accuracy below `fail_below`),
    `critical_degrades` (more than `degrades_by` below the intact network's): 1 or 0; `critical_null_fails`: share of
    its random sets whose accuracy is below `fail_below`; `critical_to_important`: its neurons over those of the smaller
    of the two important clusters (NaN if that has none).
    """
    counted = lesions[lesions["converged"].astype(bool)]
    unharmed = dict(_intact(lesions))
    random = null_fails(null, fail_below).to_dict()
    important = counted[counted["set"] == "important"]
    sizes: dict[Any, int] = important.set_index([*_CLUSTERING, *_LESION])["neurons"].to_dict()
    rows: dict[Any, dict[str, float]] = {}
    for key, part in _groups(counted[counted["set"] == "critical"], _CLUSTERING + _LESION).items():
        at, draws, lesioned = key[:4], key[5], key[6:]
        lesion = part.iloc[0]
        there = [k[5] for k in sizes if k[:5] == (*at, "activation") and k[6:] == lesioned]
        beside = [key, (*at, "activation", _draws(there, draws), *lesioned)]
        smaller = min(sizes.get(k, 0) for k in beside)
        rows[key] = _lesion("critical", key, lesion, random, fail_below) | {
            "critical_nonempty": float(lesion["neurons"] > 0),
            "critical_degrades": float(lesion["accuracy"] < unharmed[key[:3]] - degrades_by),
            "critical_to_important": float(lesion["neurons"]) / smaller if smaller else np.nan,
        }
    more = ["critical_nonempty", "critical_degrades", "critical_to_important"]
    return _complete(pairs, rows, [*_lesion_metrics("critical"), *more])


def intact(lesions: pd.DataFrame) -> pd.DataFrame:
    """Share of the unharmed decoder's images that the judge takes for the digit: a row a seed, digit and latent."""
    accuracy = _intact(lesions)
    return accuracy.rename("intact_accuracy").reset_index()


def summary(
    clusterings: pd.DataFrame,
    cluster_lesions: pd.DataFrame,
    pairs: pd.DataFrame,
    critical_lesions: pd.DataFrame,
    classes: int,
    alphas: int,
) -> pd.DataFrame:
    """The metrics of clusterings, pairs and lesions over the alphas, a row a latent, reading and draws (and scope and
    ablation, for lesions).

    `<metric>_min`, `_max`, `_median` (and `ari_mean`) of numbers and `_share` of yes/no over the alphas where they are
    known, NaN if none is; `<metric>_all`: 1 if that share is 1, NaN unless it is known at all `alphas` of the study;
    `unconverged`: alphas without a converged clustering; `plateau_share`: share of all alphas whose choice lies on a
    plateau of three or more preferences that ends before the sweep does (where `plateau_clusters` is known);
    `plateau_all`: 1 if all do; `fallback_share`: share of them without a
    plateau; `important_p_share`, `important_p_adjusted_share`, `critical_p_share`: share of the alphas with p <= 0.05;
    `important_null_fails_share`, `critical_null_fails_share`: share of the random sets that fail as well, mean over the
    alphas; `exactly_one_fails_share`: share where one cluster fails and no other; `taken_for_<class>_share`: of the
    alphas where the important cluster's lesion fails, the share where that class is the commonest wrong answer;
    `differ_most_at_0`: 1 if no alpha has a larger |clusters_difference| than the one nearest to 0, and that is not 0.
    Only converged clusterings count.
    """
    parts = []
    over = ["seed", "digit", "latent", "reading", "draws"]
    for key, rows in _by(clusterings, over):
        result = {"unconverged": alphas - float((rows["converged"] == 1).sum())}
        result["plateau_share"] = float(rows["plateau_clusters"].notna().sum()) / alphas
        result["plateau_all"] = float(result["plateau_share"] == 1)
        result["fallback_share"] = 1 - float((rows["plateau_points"] > 0).sum()) / alphas
        counts = ["clusters", "plateau_clusters", "clusters_at_median", "clusters_at_reported", "silhouette_clusters"]
        result |= _spread(rows, [*counts, "largest", "smallest", "vectors", "clusters_to_vectors"])
        parts.append(key | result)
    for key, rows in _by(cluster_lesions, [*over, *_LESION]):
        result = _spread(rows, ["important_neurons", "important_hidden", "failing_clusters", "gap", "important_z"])
        result |= _shares(rows, ["important_fails"], alphas)
        for name in ("important_p", "important_p_adjusted"):
            result[f"{name}_share"] = _share(rows[name], lambda p: p <= 0.05)
        result["important_null_fails_share"] = float(rows["important_null_fails"].mean())
        result["exactly_one_fails_share"] = _share(rows["failing_clusters"], lambda n: n == 1)
        for k in range(classes):
            result[f"taken_for_{k}_share"] = _share(rows["taken_for"], partial(np.equal, k))
        parts.append(key | result)
    for key, rows in _by(pairs, over):
        result = _spread(rows, ["ari", "clusters_difference"]) | _shares(rows, ["identical"], alphas)
        result["ari_mean"] = float(rows["ari"].mean())
        known = rows[rows["clusters_difference"].notna()]
        result["differ_most_at_0"] = np.nan
        if len(known):
            difference = known["clusters_difference"].abs().to_numpy(float)
            at_zero = difference[known["alpha"].abs().argmin()]
            result["differ_most_at_0"] = float(at_zero > 0 and at_zero == difference.max())
        parts.append(key | result)
    for key, rows in _by(critical_lesions, [*over, *_LESION]):
        result = _spread(rows, ["critical_neurons", "critical_hidden", "critical_to_important", "critical_z"])
        result |= _shares(rows, ["critical_nonempty", "critical_fails", "critical_degrades"], alphas)
        result["critical_p_share"] = _share(rows["critical_p"], lambda p: p <= 0.05)
        result["critical_null_fails_share"] = float(rows["critical_null_fails"].mean())
        parts.append(key | result)
    return pd.DataFrame(parts)


def assemble(parts: Iterable[tuple[str, pd.DataFrame]], ranks: pd.DataFrame) -> pd.DataFrame:
    """The metrics file of (level, table) pairs: keys first, the rank of every latent filled in, metrics as float64.

    Keys that do not apply are missing (integers), NaN (alpha) or empty (strings). Columns and rows are sorted.
    """
    table = pd.concat([part.assign(level=level) for level, part in parts if len(part)], ignore_index=True)
    for key in KEYS:
        if key not in table:
            table[key] = pd.NA
    known = ranks.set_index(["seed", "latent"])["rank"]
    wanted = pd.MultiIndex.from_frame(table[["seed", "latent"]])
    table["rank"] = known.reindex(wanted).to_numpy()
    for key in ("seed", "digit", "latent", "rank", "draws"):
        table[key] = table[key].astype("Float64").astype("Int64")
    table["seed"] = table["seed"].astype("int64")
    table["alpha"] = pd.to_numeric(table["alpha"]).astype("float64")
    for key in ("level", "reading", *_LESION):
        table[key] = table[key].astype(object).where(table[key].notna(), "").astype("str")
    metrics = sorted(str(column) for column in table if column not in KEYS)
    # A z-score against random sets that are all alike is no number.
    table[metrics] = table[metrics].astype("float64").replace([np.inf, -np.inf], np.nan)
    return table[[*KEYS, *metrics]].sort_values(list(KEYS), ignore_index=True)


def _last(training: pd.DataFrame) -> pd.DataFrame:
    rows = training[training["split"] == "test"]
    return rows[rows["iteration"] == rows.groupby("seed")["iteration"].transform("max")]


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    _, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[where]


def _correlation(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Pearson's correlation; NaN if one of them is constant."""
    known = _varies(x) and _varies(y)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / norm) if known and norm > 0 else np.nan


def _varies(x: NDArray[np.floating]) -> Any:
    """Whether numbers along the last axis differ by more than rounding: what that leaves of a constant is no spread."""
    return np.ptp(x, -1) > 1e-14 * np.abs(x).max(-1)


def _numbers(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[np.float64]:
    return checks.numbers(what, values, *axes, least=least).astype(np.float64, copy=False)


def _rms(x: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.asarray(x, np.float64) ** 2)))


def _mean(values: Iterable[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else np.nan


def _groups(table: pd.DataFrame, keys: Sequence[str] = tuple(_CLUSTERING)) -> dict[tuple[Any, ...], pd.DataFrame]:
    return dict(list(table.groupby(list(keys), sort=True, dropna=False)))


def _by(table: pd.DataFrame, keys: list[str]) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    if len(table):
        for key, rows in table.groupby(keys, sort=True, dropna=False):
            yield dict(zip(keys, key, strict=True)), rows


def _draws(there: Iterable[int], wanted: int) -> int:
    """Draws of the activations that effects of `wanted` draws are compared with."""
    return max(there, key=lambda draws: (draws == wanted, draws), default=wanted)


def _intact(lesions: pd.DataFrame) -> pd.Series:
    rows = lesions[lesions["set"] == "intact"]
    return rows.groupby(["seed", "digit", "latent"])["accuracy"].mean()


def _lesion_metrics(name: str) -> list[str]:
    return [f"{name}_{column}" for column in ("neurons", "hidden", "accuracy", "z", "p", "fails", "null_fails")]


def _lesion(
    name: str, key: tuple[Any, ...], lesion: "pd.Series[Any]", random: dict[Any, float], fail_below: float
) -> dict[str, float]:
    empty = lesion["neurons"] == 0
    values = [
        *(lesion[column] for column in ("neurons", "hidden", "accuracy")),
        0.0 if empty else lesion["z"],
        1.0 if empty else lesion["p"],
        lesion["accuracy"] < fail_below,
        random.get((*key[:6], name, *key[6:]), np.nan),
    ]
    return dict(zip(_lesion_metrics(name), map(float, values), strict=True))


def _complete(keys: pd.DataFrame, rows: dict[Any, dict[str, float]], metrics: list[str]) -> pd.DataFrame:
    """A row a clustering of `keys`, scope and ablation: those of `rows`, NaN where there is none."""
    table = [
        dict(zip(_CLUSTERING + _LESION, key, strict=True)) | dict.fromkeys(metrics, np.nan) | rows.get(key, {})
        for clustering in keys[_CLUSTERING].itertuples(index=False, name=None)
        for key in ((*clustering, scope, ablation) for scope in SCOPES for ablation in ABLATIONS)
    ]
    return pd.DataFrame(table, columns=[*_CLUSTERING, *_LESION, *metrics])


def _spread(rows: pd.DataFrame, metrics: list[str]) -> dict[str, float]:
    """Least, greatest and median over the rows; NaN if none is known."""
    result = {}
    for metric in metrics:
        x = rows[metric].to_numpy(float)
        x = x[~np.isnan(x)]
        for name, how in (("min", np.min), ("max", np.max), ("median", np.median)):
            result[f"{metric}_{name}"] = float(how(x)) if len(x) else np.nan
    return result


def _shares(rows: pd.DataFrame, metrics: list[str], alphas: int) -> dict[str, float]:
    """Share of the known values that are 1, and whether all are: not known unless every alpha is."""
    result = {}
    for metric in metrics:
        share = float(rows[metric].mean())
        result[f"{metric}_share"] = share
        result[f"{metric}_all"] = float(share == 1) if rows[metric].notna().sum() == alphas else np.nan
    return result


def _share(values: "pd.Series[Any]", true: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> float:
    """Share of the known values for which `true` is; NaN if none is known."""
    x = values.to_numpy(float)
    x = x[~np.isnan(x)]
    return float(true(x).mean()) if len(x) else np.nan
