"""Metrics against independent oracles, hand-made cases, and the whole script on made-up files."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from interneuron import evaluate, io
from interneuron.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


def script(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


# correlations and partitions


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30))
@settings(deadline=None)
def test_rank_correlation_is_that_of_scipy(values):
    from scipy.stats import spearmanr

    x, y = np.array(values, float).T
    got = evaluate.rank_correlation(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(spearmanr(x, y)[0], abs=1e-12)


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=60))
@settings(deadline=None)
def test_adjusted_rand_is_that_of_scikit_learn(values):
    from sklearn.metrics import adjusted_rand_score

    a, b = np.array(values).T
    assert evaluate.adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)


def test_adjusted_rand_ignores_names_and_refuses_unequal_lengths():
    assert evaluate.adjusted_rand([0, 0, 1, 2], [7, 7, -1, 3]) == 1
    with pytest.raises(InputError, match="adjusted_rand"):
        evaluate.adjusted_rand([0, 1], [0])
    with pytest.raises(InputError, match="adjusted_rand"):
        evaluate.adjusted_rand([], [])


# ranks under centring


def test_centring_keeps_ranks_and_ties_even_where_rounding_would_not():
    from scipy.stats import rankdata

    x = np.random.default_rng(0).normal(size=(3, 50, 20)).round(1).astype(np.float32)  # with ties
    x[1, 0, 0], x[1, 1, 0] = 1e-20, 2e-20
    rounded = x.astype(float) - x.mean((0, 1), dtype=float)
    assert (rankdata(rounded, axis=1) != rankdata(x, axis=1)).any()
    assert evaluate.centred_ranks_equal(x) == 1
    # where a difference is no number there are no ranks
    x[0, 0, 0] = np.inf
    assert evaluate.centred_ranks_equal(x) == 19 / 20
    for bad in (x[0], x[:, :0]):
        with pytest.raises(InputError, match="centred_ranks_equal"):
            evaluate.centred_ranks_equal(bad)


# images


def bar(angle, size=1.0, side=31):
    """An elongated bell whose long axis lies at `angle`, anticlockwise from the x axis."""
    y, x = np.mgrid[:side, :side] - side // 2
    along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return np.exp(-((along / (4 * size)) ** 2) - (across / (1.5 * size)) ** 2)


def test_moments_give_the_angle_through_more_than_half_a_turn_and_the_size():
    angles = np.linspace(-2, 2, 9)
    angle, size = evaluate.moments(np.stack([bar(a) for a in angles]))
    np.testing.assert_allclose(np.diff(angle), np.diff(angles), atol=1e-3)
    assert np.cos(2 * (angle[0] - angles[0])) == pytest.approx(1, abs=1e-6)
    # a Gaussian exp(-(r/s)^2) has the variance s^2 / 2 along each axis
    np.testing.assert_allclose(size, np.sqrt((16 + 2.25) / 2), rtol=1e-2)
    assert evaluate.moments(bar(0.3, 0.5)[None])[1] == pytest.approx(size[0] / 2, rel=1e-2)


def test_moments_do_not_depend_on_place_or_brightness():
    image = bar(0.7)
    images = np.stack([image, 0.2 * image, np.roll(image, (2, -3), (0, 1))])
    angle, size = evaluate.moments(images)
    np.testing.assert_allclose(angle, angle[0], atol=1e-6)
    np.testing.assert_allclose(size, size[0], rtol=1e-6)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4)), -np.ones((1, 4, 4)), np.ones((4, 4))])
def test_moments_refuse_images_without_an_orientation(images):
    with pytest.raises(InputError, match="moments"):
        evaluate.moments(images)


def test_sharpness_falls_when_an_image_is_blurred_and_scales_with_contrast():
    from scipy.ndimage import gaussian_filter

    x = np.random.default_rng(0).random((4, 12, 12))
    blurred = np.stack([gaussian_filter(image, 1) for image in x])
    assert evaluate.sharpness(blurred) < 0.5 * evaluate.sharpness(x)
    assert evaluate.sharpness(3 * x) == pytest.approx(3 * evaluate.sharpness(x))
    with pytest.raises(InputError, match="sharpness"):
        evaluate.sharpness(x[0])


# latents and classes

ALPHAS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def known_latents():
    """Latent 0 does nothing, 1 turns the bar, 2 shrinks it; published effects of latent 0 are noise."""
    random = np.random.default_rng(0)
    images = np.stack(
        [
            [bar(0.4) for _ in ALPHAS],
            [bar(0.4 - 0.15 * a) for a in ALPHAS],
            [bar(0.4, 1 - 0.05 * a) for a in ALPHAS],
        ]
    ).reshape(3, 7, -1)
    baseline = images.mean(1)
    effect = images - baseline[:, None]
    published = effect.copy()
    published[0] += random.normal(0, 0.25, published[0].shape)
    return effect, np.full_like(effect, 0.01), published, baseline


def test_latents_know_who_turns_who_shrinks_and_what_is_noise():
    table = evaluate.latents(*known_latents(), ALPHAS, 31, 31).set_index("latent")
    assert table["rotation"][1] == 1
    assert table["turn"][1] == pytest.approx(np.degrees(0.9), abs=0.5)
    assert table["scaling"][1] == pytest.approx(1, abs=0.01)
    assert table["shrinking"][2] == 1
    assert table["scaling"][2] == pytest.approx(0.85 / 1.15, abs=0.02)
    assert table["turn"][2] < 1
    assert table["move"][0] == pytest.approx(0, abs=1e-12)
    assert table["published_noise"][0] == pytest.approx(0.25, rel=0.05)
    assert table["published_noise"][1] == pytest.approx(0, abs=1e-12)
    assert abs(table["published_order"][0]) < 0.1
    assert table["effect_order"][1] > 0.5
    assert table["effect_range"][1] == pytest.approx(table["effect_max"][1] - table["effect_min"][1])
    np.testing.assert_allclose(table["effect_error"], 0.01)


def test_roles_tell_the_turning_latent_from_the_scaling_one():
    table = evaluate.latents(*known_latents(), ALPHAS, 31, 31)
    table["kl"] = [0.01, 1.0, 0.5]
    found = evaluate.roles(table, 0.1, 0.01)
    assert found["moving_latents"] == 2
    assert found["roles_split"] == 1
    assert found["collapsed_effect_max"] == pytest.approx(0, abs=1e-12)
    assert found["collapsed_published_max_median"] > 0.5
    same = evaluate.roles(table.assign(turn=[0, 1, 2], scaling=[1, 0.9, 0.5]), 0.1, 0.01)
    assert same["roles_split"] == 0
    alone = evaluate.roles(table.assign(kl=[1.0, 0.01, 0.01]), 0.1, 0.01)
    assert np.isnan(alone["roles_split"])
    assert np.isnan(evaluate.roles(table.assign(kl=1.0), 0.1, 0.01)["collapsed_effect_max"])


def test_the_typical_maximum_of_the_collapsed_latents_is_the_median_of_each_ones():
    table = evaluate.latents(*known_latents(), ALPHAS, 31, 31)
    table = table.assign(kl=0.0, published_min=[-0.2, -0.9, -0.1], published_max=[0.1, 0.3, 0.4], effect_min=[-2, 0, 0])
    found = evaluate.roles(table, 0.1, 0.01)
    assert found["collapsed_published_max_median"] == 0.4
    assert found["collapsed_effect_max"] == 2


def turning(by, sizes):
    """Metrics of one latent under which a bar turns by `by` (anticlockwise) and has these sizes, alpha by alpha."""
    images = np.stack([bar(0.4 + t, size, 41) for t, size in zip(np.linspace(0, by, 7), sizes, strict=True)])
    images = images.reshape(1, 7, -1)
    baseline = images.mean(1)
    effect = images - baseline[:, None]
    return evaluate.latents(effect, np.ones_like(effect), effect, baseline, ALPHAS, 41, 41).iloc[0]


def test_clockwise_is_as_seen_and_does_not_depend_on_the_latents_sign():
    falling, rising = np.linspace(1.2, 0.9, 7), np.linspace(0.9, 1.2, 7)
    assert bar(0.4)[5, 25] > bar(0.4)[25, 25]  # the bar lies as /, its upper end in the first rows
    for by, sizes, clockwise in [(-0.5, falling, 1), (0.5, rising, 1), (0.5, falling, 0), (-0.5, rising, 0)]:
        found = turning(by, sizes)
        assert found["clockwise_as_smaller"] == clockwise
        assert found["end_turn"] == pytest.approx(np.degrees(0.5), abs=0.5)
        assert found["end_shrinking"] == pytest.approx(1 - 0.9 / 1.2, abs=0.01)


def test_ends_are_compared_whatever_lies_between():
    found = turning(0, [1, 0.9, 0.8, 0.7, 0.8, 0.9, 1])
    assert found["end_shrinking"] == pytest.approx(0, abs=1e-9)
    assert found["scaling"] < 0.75
    assert found["end_turn"] == pytest.approx(0, abs=1e-6)


def test_only_the_positive_part_of_a_map_is_compared_with_the_image():
    image = bar(0.4).ravel()
    background = image < 0.01
    random = np.random.default_rng(0).random(background.sum())
    maps = np.stack([np.where(image > 0.01, a * image, 0) for a in (0.1, 0.2)])
    maps[:, background] = -3 * random  # would spoil the likeness if it counted
    baseline = np.where(background, 4, image)[None]
    found = evaluate.latents(maps[None], maps[None], maps[None], baseline, (0, 1), 31, 31).iloc[0]
    images = baseline + maps
    expected = [np.corrcoef(np.maximum(m, 0), i)[0, 1] for m, i in zip(maps, images, strict=True)]
    assert found["effect_like_image"] == pytest.approx(np.mean(expected))
    assert found["effect_like_image"] != pytest.approx(
        np.mean([np.corrcoef(m, i)[0, 1] for m, i in zip(maps, images, strict=True)]), abs=0.05
    )


def test_latents_refuse_shapes_that_do_not_fit():
    effect, error, published, baseline = known_latents()
    for case in [(effect[:, :3], error, published, baseline), (effect, error, published, baseline[:2])]:
        with pytest.raises(InputError, match="latents"):
            evaluate.latents(*case, ALPHAS, 31, 31)
    with pytest.raises(InputError, match="latents"):
        evaluate.latents(effect, error, published, baseline, ALPHAS, 30, 31)


def test_classes_are_recognised_by_their_own_contrast():
    means = np.random.default_rng(0).random((4, 20))
    contrast = means - (means.sum(0) - means) / 3
    error = np.full((4, 20), 0.001)
    found = evaluate.classes(0.5 * contrast, error, contrast, means)
    assert found["class_maps_recognised"] == 1
    assert found["class_effect_min"] == pytest.approx(found["class_published_min"] / 2)
    assert found["class_effect_negative_share"] == pytest.approx((0.5 * contrast < -0.01).mean())
    assert found["class_maps_positive"] == 0
    shifted = evaluate.classes(contrast[[1, 2, 3, 0]], error, contrast, means)
    assert shifted["class_maps_recognised"] == 0
    positive = evaluate.classes(np.abs(contrast), error, contrast, means)
    assert positive["class_maps_positive"] == 1
    assert positive["class_effect_negative_share"] == 0
    unsure = evaluate.classes(contrast, np.ones((4, 20)), contrast, means)
    assert unsure["class_effect_negative_share"] == 0
    with pytest.raises(InputError, match="classes"):
        evaluate.classes(contrast, error[:3], contrast, means)


def test_class_means():
    x, y = np.random.default_rng(0).random((6, 2, 3)), np.array([0, 1, 0, 1, 2, 2])
    np.testing.assert_allclose(evaluate.class_means(x, y, 3)[1], ((x[1] + x[3]) / 2).ravel())
    for classes in (2, 4):
        with pytest.raises(InputError, match="class_means"):
            evaluate.class_means(x, y, classes)


# training


def training_table():
    rows = [(s, 10, "train", "loss", 1.0) for s in (0, 1)]
    rows += [(0, 10, "test", f"kl:{i}", v) for i, v in enumerate([0.02, 0.5, 1.1])]
    rows += [(1, 10, "test", f"kl:{i}", v) for i, v in enumerate([0.9, 0.05, 0.06])]
    rows += [(s, 10, "test", m, v + s) for s in (0, 1) for m, v in (("reconstruction", 130.0), ("kl", 1.6))]
    return pd.DataFrame(rows, columns=["seed", "iteration", "split", "metric", "value"])


def judge_table():
    rows = [(0, 5, "test", "accuracy", 0.5), (0, 9, "test", "accuracy", 0.99), (0, 9, "train", "accuracy", 1.0)]
    return pd.DataFrame(rows, columns=["seed", "iteration", "split", "metric", "value"])


def test_divergences_rank_the_latents_of_each_seed():
    found = evaluate.divergences(training_table())
    assert found[found["seed"] == 0]["latent"].tolist() == [2, 1, 0]
    assert found[found["seed"] == 1]["latent"].tolist() == [0, 2, 1]
    assert found["rank"].tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(InputError, match="kl:"):
        evaluate.divergences(judge_table())


def test_model_counts_active_latents_and_takes_the_judges_last_accuracy():
    found = evaluate.model(training_table(), judge_table(), 0.1).set_index("seed")
    assert found["active_latents"].tolist() == [2, 1]
    assert found["reconstruction"].tolist() == [130, 131]
    assert found["kl"].tolist() == [1.6, 2.6]
    assert found["judge_accuracy"].tolist() == [0.99, 0.99]
    with pytest.raises(InputError, match="judge"):
        evaluate.model(training_table(), judge_table().query("split == 'train'"), 0.1)


# clusterings, lesions and their summary


def key(alpha, reading, draws=9):
    return {"seed": 0, "digit": 5, "latent": 2, "alpha": float(alpha), "reading": reading, "draws": draws}


def clusters_of(alpha, reading, labels, converged=True):
    table = pd.DataFrame({"neuron": [f"relu1:{i}" for i in range(len(labels))], "cluster": labels})
    return table.assign(**key(alpha, reading), exemplar=False, converged=converged)


def sweep_of(alpha, reading, clusters, converged=True):
    table = pd.DataFrame(
        {
            "preference": [-9.0, -3.0, -1.0, 0.1],
            "clusters": [clusters, clusters, clusters + 2, 30],
            "converged": [converged, converged, True, True],
            "silhouette": [0.1, 0.2, 0.5, 0.3],
            "median": [False, False, False, True],
            "plateau": [True, True, False, False],
            "chosen": [False, True, False, False],
            "reported": False,
            "constant": 1,
            "vectors": 4,
        }
    )
    return table.assign(**key(alpha, reading), iterations=50)


def lesion_of(alpha, reading, kind, cluster, accuracy, neurons, taken_for=3, p=0.01, converged=True):
    row = {
        "set": kind,
        "cluster": cluster,
        "scope": "all",
        "ablation": "zero",
        "neurons": neurons,
        "hidden": neurons // 2,
    }
    row |= {"converged": converged, "accuracy": accuracy, "taken_for": taken_for, "z": -2.0, "p": p}
    return (key(alpha, reading) if kind != "intact" else key(np.nan, "", 0)) | row


def null_of(lesions):
    """Four random sets a compared lesion that is not empty: one of them fails."""
    rows = lesions[lesions["set"].isin(["important", "critical"]) & (lesions["neurons"] > 0)]
    columns = ["seed", "digit", "latent", "alpha", "reading", "draws", "set", "scope", "ablation"]
    sets = [rows[columns].assign(sample=i, accuracy=accuracy) for i, accuracy in enumerate([0.9, 0.5, 0.49, 0.7])]
    return pd.concat(sets)


@pytest.fixture
def steps():
    """Three alphas, activations and A; at alpha 1 A did not converge."""
    labels = [0, 0, 0, 1, 1, -1]
    clusters = pd.concat(
        [
            clusters_of(-1, "activation", labels),
            clusters_of(-1, "A", [1, 1, 1, 0, 0, -1]),
            clusters_of(0, "activation", [0, 0, 1, 2, 2, -1]),
            clusters_of(0, "A", labels),
            clusters_of(1, "activation", labels),
            clusters_of(1, "A", [0, 1, 2, 3, 4, -1], converged=False),
        ]
    )
    sweep = pd.concat(
        [sweep_of(a, r, k, ok) for a, r, k, ok in [
            (-1, "activation", 2, True), (-1, "A", 2, True), (0, "activation", 3, True),
            (0, "A", 2, True), (1, "activation", 2, True), (1, "A", 5, False),
        ]]
    )  # fmt: skip
    rows = [lesion_of(0, "", "intact", -1, 0.98, 0, p=np.nan)]
    for alpha in (-1, 0, 1):
        for reading, important in (("activation", 40), ("A", 20)):
            ok = not (reading == "A" and alpha == 1)
            rows.append(lesion_of(alpha, reading, "cluster", 0, 0.1, important, converged=ok))
            rows.append(lesion_of(alpha, reading, "cluster", 1, 0.4 if alpha == 0 else 0.9, 9, converged=ok))
            rows.append(lesion_of(alpha, reading, "important", 0, 0.1, important, 3 if alpha else 8, converged=ok))
    rows.append(lesion_of(-1, "A", "critical", -1, 0.7, 10))
    rows.append(lesion_of(0, "A", "critical", -1, 0.98, 0, taken_for=-1, p=np.nan))
    return clusters, sweep, pd.DataFrame(rows)


def test_clusterings_report_unconverged_runs_and_give_no_numbers_for_them(steps):
    table = evaluate.clusterings(*steps[:2]).set_index(["alpha", "reading"])
    first = table.loc[(-1.0, "activation")]
    assert first[["clusters", "largest", "smallest", "constant", "preference"]].tolist() == [2, 3, 2, 1, -3]
    assert first[["plateau_points", "clusters_at_median", "silhouette_clusters"]].tolist() == [2, 30, 4]
    assert first[["vectors", "clusters_to_vectors"]].tolist() == [4, 0.5]
    left_out = table.loc[(1.0, "A")]
    assert left_out["converged"] == 0
    assert left_out[["clusters", "largest", "smallest"]].isna().all()
    twice = steps[1].assign(chosen=True)
    with pytest.raises(InputError, match="chosen"):
        evaluate.clusterings(steps[0], twice)


def test_the_reported_preference_is_told_by_itself(steps):
    more = steps[1].drop_duplicates(["alpha", "reading"]).assign(
        preference=-20.0, clusters=[8, 9, 11, 6, 10, 5], plateau=False, chosen=False, median=False, reported=True
    )  # fmt: skip
    plain = evaluate.clusterings(*steps[:2]).set_index(["alpha", "reading"])
    both = evaluate.clusterings(steps[0], pd.concat([steps[1], more])).set_index(["alpha", "reading"])
    assert plain["clusters_at_reported"].isna().all()
    expected = more.set_index(["alpha", "reading"])["clusters"].astype(float).where(more["converged"].to_numpy())
    pd.testing.assert_series_equal(both["clusters_at_reported"], expected.sort_index(), check_names=False)
    # It is no part of the sweep: neither its end nor its best silhouette.
    pd.testing.assert_frame_equal(both.drop(columns="clusters_at_reported"), plain.drop(columns="clusters_at_reported"))


def test_cluster_lesions_find_the_failing_and_the_important(steps):
    table = evaluate.cluster_lesions(steps[2], evaluate.clusterings(*steps[:2]), null_of(steps[2]), 0.5)
    assert len(table) == 6 * 4
    table = table[(table["scope"] == "all") & (table["ablation"] == "zero")].set_index(["alpha", "reading"])
    assert table.loc[(1.0, "A")].drop(["seed", "digit", "latent", "draws", "scope", "ablation"]).isna().all()
    assert table.loc[(-1.0, "A"), "failing_clusters"] == 1
    assert table.loc[(0.0, "A"), "failing_clusters"] == 2
    assert table.loc[(-1.0, "A"), "gap"] == pytest.approx(0.8)
    assert table.loc[(-1.0, "activation"), "important_neurons"] == 40
    assert table.loc[(0.0, "activation"), "taken_for"] == 8
    # the worst of two: p = 0.01 and 0.7 become twice as large, at most 1
    assert table.loc[(-1.0, "A"), "important_p_adjusted"] == pytest.approx(0.02)
    assert table.loc[(-1.0, "A"), "important_null_fails"] == 0.25
    likely = evaluate.cluster_lesions(steps[2].assign(p=0.7), evaluate.clusterings(*steps[:2]), null_of(steps[2]), 0.5)
    assert set(likely["important_p_adjusted"].dropna()) == {1}


def test_what_a_lesion_that_does_not_fail_is_taken_for_does_not_count(steps):
    lesions = steps[2]
    lesions.loc[(lesions["set"] == "important") & (lesions["alpha"] == 0), "accuracy"] = 0.6
    table = evaluate.cluster_lesions(lesions, evaluate.clusterings(*steps[:2]), null_of(lesions), 0.5)
    assert set(table["alpha"][table["taken_for"].notna()]) == {-1, 1}


def test_pairs_compare_partitions_of_converged_runs(steps):
    from sklearn.metrics import adjusted_rand_score

    table = evaluate.pairs(steps[0]).set_index("alpha")
    assert table.loc[-1.0, ["ari", "identical", "clusters_difference"]].tolist() == [1, 1, 0]
    assert table.loc[0.0, "ari"] == pytest.approx(adjusted_rand_score([0, 0, 0, 1, 1], [0, 0, 1, 2, 2]))
    assert table.loc[0.0, ["identical", "clusters_difference"]].tolist() == [0, 1]
    assert table.loc[1.0, ["ari", "identical", "clusters_difference"]].isna().all()
    with pytest.raises(InputError, match="activation"):
        evaluate.pairs(steps[0][steps[0]["reading"] == "A"])


def test_pairs_take_the_activations_of_the_same_draws():
    parts = [
        clusters_of(0, "activation", [0, 0, 1, 1]).assign(draws=1000),
        clusters_of(0, "activation", [0, 1, 1, 1]).assign(draws=3),
        clusters_of(0, "A", [0, 1, 1, 1]).assign(draws=3),
        clusters_of(0, "B", [0, 0, 1, 1]).assign(draws=0),
    ]
    table = evaluate.pairs(pd.concat(parts)).set_index("reading")
    assert table["identical"].to_dict() == {"A": 1, "B": 1}


def test_critical_lesions(steps):
    table = evaluate.critical_lesions(steps[2], evaluate.pairs(steps[0]), null_of(steps[2]), 0.5)
    assert len(table) == 3 * 4
    table = table[(table["scope"] == "all") & (table["ablation"] == "zero")].set_index("alpha")
    assert table.loc[1.0, ["critical_neurons", "critical_nonempty", "critical_degrades"]].isna().all()
    table = table.loc[[-1.0, 0.0]]
    assert table.loc[-1.0, "critical_to_important"] == 0.5
    assert table["critical_nonempty"].to_dict() == {-1.0: 1, 0.0: 0}
    assert table["critical_degrades"].to_dict() == {-1.0: 1, 0.0: 0}
    assert table["critical_fails"].to_dict() == {-1.0: 0, 0.0: 0}
    assert table.loc[-1.0, "critical_hidden"] == 5
    assert table.loc[-1.0, "critical_null_fails"] == 0.25
    assert table.loc[0.0, ["critical_p", "critical_z"]].tolist() == [1, 0]
    assert np.isnan(table.loc[0.0, "critical_null_fails"])


@pytest.mark.parametrize(("accuracy", "degrades"), [(0.94, 0), (0.92, 1)])
def test_a_fall_of_more_than_a_twentieth_degrades(steps, accuracy, degrades):
    lesions = steps[2]
    lesions.loc[lesions["set"] == "critical", "accuracy"] = accuracy
    table = evaluate.critical_lesions(lesions, evaluate.pairs(steps[0]), null_of(lesions), 0.5)
    assert set(table["critical_degrades"].dropna()) == {degrades}


def summary_of(clusters, sweep, lesions, alphas=3):
    clusterings, pairs, null = evaluate.clusterings(clusters, sweep), evaluate.pairs(clusters), null_of(lesions)
    return evaluate.summary(
        clusterings,
        evaluate.cluster_lesions(lesions, clusterings, null, 0.5),
        pairs,
        evaluate.critical_lesions(lesions, pairs, null, 0.5),
        10,
        alphas,
    )


def test_summary_counts_over_the_converged_alphas(steps):
    table = summary_of(*steps)
    a = table[table["reading"] == "A"]

    def value(name, rows=a):
        known = rows[name].dropna()
        assert len(known) == 1, name
        return known.iloc[0]

    assert value("unconverged") == 1
    assert value("unconverged", table[table["reading"] == "activation"]) == 0
    assert value("clusters_max", table[table["reading"] == "activation"]) == 3
    assert value("differ_most_at_0") == 1
    assert value("critical_nonempty_share") == 0.5
    # of three alphas one did not converge: nobody knows whether all do
    assert a["critical_nonempty_all"].isna().all()
    assert a["important_fails_all"].isna().all()
    assert a["identical_all"].isna().all()
    assert value("important_fails_share") == 1
    assert value("important_fails_all", table[table["reading"] == "activation"]) == 1
    assert value("ari_mean") == pytest.approx((1 + evaluate.adjusted_rand([0, 0, 0, 1, 1], [0, 0, 1, 2, 2])) / 2)
    assert value("exactly_one_fails_share") == 0.5
    assert value("taken_for_3_share") == 0.5
    assert value("taken_for_8_share") == 0.5
    assert value("taken_for_0_share") == 0
    # the empty set at alpha 0 counts, with p = 1
    assert value("critical_p_share") == 0.5
    assert value("important_p_share") == 1
    assert value("important_p_adjusted_share") == 1
    assert value("important_null_fails_share") == 0.25
    assert value("critical_null_fails_share") == 0.25
    assert value("critical_neurons_max") == 10
    assert value("identical_share") == 0.5


def test_all_needs_every_alpha_of_the_study(steps):
    def strict(alphas):
        table = summary_of(*steps, alphas=alphas)
        rows = table[(table["reading"] == "activation")]
        return rows["important_fails_all"].dropna().tolist(), rows["unconverged"].dropna().tolist()

    assert strict(3) == ([1], [0])
    assert strict(4) == ([], [1])  # an alpha that was not clustered at all


@pytest.mark.parametrize(
    ("plateau", "stable", "fallback"),
    [
        ([-3, -5, -8], 1, 0),
        ([-3, -5], 0, 0),  # too short
        ([-5, -8, -12], 0, 0),  # reaches the last preference
        ([], 0, 1),
    ],
)
def test_a_plateau_has_three_points_and_ends_before_the_sweep(steps, plateau, stable, fallback):
    preferences = np.array([0.1, -1, -3, -5, -8, -12])
    sweep = [
        pd.DataFrame({"preference": preferences, "plateau": np.isin(preferences, plateau), "clusters": 2})
        .assign(**key(alpha, reading), converged=True, silhouette=0.1, constant=0, iterations=9)
        .assign(chosen=preferences == (plateau[0] if plateau else 0.1), median=preferences == 0.1)
        for alpha in (-1, 0, 1)
        for reading in ("activation", "A")
    ]
    sweep = [part.assign(reported=False, vectors=4) for part in sweep]
    for table in (pd.concat(sweep), pd.concat(sweep).iloc[::-1]):
        found = summary_of(steps[0], table, steps[2])
        assert set(found["plateau_share"].dropna()) == {stable}
        assert set(found["plateau_all"].dropna()) == {stable}
        # Without a plateau there is no number of clusters to speak of, only the sweep's.
        assert set(found["plateau_clusters_max"].dropna()) == ({2} if stable else set())
        assert set(found["fallback_share"].dropna()) == {fallback}
    # one alpha of four was not clustered
    found = summary_of(steps[0], pd.concat(sweep), steps[2], alphas=4)
    assert set(found["plateau_share"].dropna()) == {0.75 * stable}
    assert set(found["fallback_share"].dropna()) == {0.25 if not fallback else 1}


def test_constant_neurons_do_not_make_partitions_differ():
    parts = [clusters_of(0, "activation", [-1, 0, 0, 1, 1, 1]), clusters_of(0, "A", [0, 1, 1, 0, 0, -1])]
    found = evaluate.pairs(pd.concat(parts)).iloc[0]
    assert (found["ari"], found["identical"]) == (1, 1)
    apart = [clusters_of(0, "activation", [-1, 0, -1]), clusters_of(0, "A", [0, -1, -1])]
    assert np.isnan(evaluate.pairs(pd.concat(apart)).iloc[0][["ari", "identical"]].astype(float)).all()


def test_assemble_fills_ranks_and_keeps_what_does_not_apply_missing(steps):
    ranks = pd.DataFrame({"seed": [0, 0], "latent": [2, 1], "rank": [0, 1]})
    parts = [
        ("model", pd.DataFrame({"seed": [0], "active_latents": [1]})),
        ("clustering", evaluate.clusterings(*steps[:2])),
        (
            "clustering",
            evaluate.cluster_lesions(steps[2], evaluate.clusterings(*steps[:2]), null_of(steps[2]), 0.5).assign(
                important_z=-np.inf
            ),
        ),
    ]
    table = evaluate.assemble(parts, ranks)
    assert list(table.columns[: len(evaluate.KEYS)]) == list(evaluate.KEYS)
    model = table[table["level"] == "model"].iloc[0]
    assert pd.isna(model["latent"])
    assert pd.isna(model["rank"])
    assert model["reading"] == ""
    assert (table[table["level"] == "clustering"]["rank"] == 0).all()
    assert all(table[name].dtype == np.float64 for name in table.columns[len(evaluate.KEYS) :])
    assert table["important_z"].isna().all()
    pd.testing.assert_frame_equal(table, evaluate.assemble(parts[::-1], ranks))


# the script


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    paths = synthetic.write(folder)
    judge = folder / "judge.parquet"
    io.save_table(judge, judge_table())
    names = ("training", "activations", "ace", "clusters", "sweep", "lesions", "null")
    inputs = SimpleNamespace(data=paths.data, judge=judge, **{name: getattr(paths, name)[0] for name in names})
    chosen = {"kind": "neurons", "fail_below": 0.5, "active_above": 0.1, "moves_above": 0.05, "code": "x"}
    tables = []
    for name in ("a", "b"):
        output = [folder / f"{name}.parquet"]
        job = SimpleNamespace(
            input=inputs, output=output, params=SimpleNamespace(settings=chosen), threads=1, rule="evaluate"
        )
        script("evaluate")(job)
        tables.append(output[0])
    assert tables[0].read_bytes() == tables[1].read_bytes()
    return io.load_table(tables[0]), paths


def test_the_script_measures_every_level(metrics):
    table, paths = metrics
    assert set(table["level"]) == {"model", "latent", "class", "clustering", "pair", "summary"}
    assert list(table.columns[: len(evaluate.KEYS)]) == list(evaluate.KEYS)
    model = table[table["level"] == "model"]
    assert model["active_latents"].dropna().tolist() == [2, 2]
    assert model["intact_accuracy"].dropna().tolist() == pytest.approx([0.97, 0.97])
    assert model["dead_hidden"].dropna().tolist() == [0, 0]
    assert model["centred_ranks_equal"].dropna().tolist() == [1, 1]
    # the script's random sets are those of null.parquet
    null = io.load_table(paths.null[0])
    null = null[(null["seed"] == 0) & (null["set"] == "important") & (null["scope"] == "all")]
    null = null[(null["reading"] == "A") & (null["latent"] == 1) & (null["ablation"] == "zero")]
    row = table[(table["level"] == "summary") & (table["seed"] == 0) & (table["rank"] == 0)]
    row = row[(row["reading"] == "A") & (row["scope"] == "all") & (row["ablation"] == "zero")]
    known = table[(table["level"] == "clustering") & (table["important_null_fails"].notna()) & (table["seed"] == 0)]
    null = null[null["alpha"].isin(known[(known["rank"] == 0) & (known["reading"] == "A")]["alpha"])]
    assert row["important_null_fails_share"].dropna().tolist() == pytest.approx([(null["accuracy"] < 0.5).mean()])
    strongest = table[(table["level"] == "latent") & (table["rank"] == 0)]
    assert strongest["latent"].tolist() == [1, 1]
    clusterings = table[(table["level"] == "clustering") & table["converged"].notna()]
    expected = io.load_table(paths.clusters[0]).groupby(["seed", "latent", "alpha", "reading", "draws"]).ngroups
    assert len(clusterings) == expected
    assert (clusterings["converged"] == 0).any()
    failing = table[table["failing_clusters"].notna() & (table["level"] == "clustering")]
    assert set(failing["scope"]) == {"all", "hidden"}


def test_the_script_works_with_no_metric_left_empty(metrics):
    table, _ = metrics
    empty = [name for name in table if name not in evaluate.KEYS and table[name].isna().all()]
    assert empty == []


def test_every_claim_names_a_metric_and_columns_that_there_are(metrics):
    table, _ = metrics
    studies = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config/studies").glob("thesis-*.yaml"))]
    named = [claim for study in studies for claim in study.get("claims", []) if "metric" in claim]
    assert named
    for claim in named:
        assert {claim["metric"], *claim.get("where", {})} <= set(table.columns), claim["id"]
        level = table[table["level"] == claim["where"]["level"]]
        assert level[claim["metric"]].notna().any(), claim["id"]


def test_every_metric_is_on_the_page_of_files_at_its_level(metrics):
    table, _ = metrics
    section = (ROOT / "docs/files.md").read_text().split("/metrics.parquet")[1].split("\n##")[0]
    documented = [
        (re.compile(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(name))), levels.strip().split(", "))
        for names, levels in re.findall(r"^\| (`[^|]+`) \| ([^|]*) \|", section.split("The metrics;")[1], re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    ]
    found = [
        (level, name)
        for level, rows in table.groupby("level")
        for name in rows.columns[len(evaluate.KEYS) :]
        if rows[name].notna().any()
    ]
    for level, name in found:
        assert any(form.fullmatch(name) and level in levels for form, levels in documented), (level, name)
    for form, levels in documented:
        assert any(form.fullmatch(name) and level in levels for level, name in found), form.pattern


def test_every_claim_asks_for_one_reading_that_its_study_has():
    studies = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "config/studies").glob("thesis-*.yaml")}

    def setting(study, *keys):
        """What the study says, or the one that it is based on."""
        while True:
            value = study
            for name in keys:
                value = (value or {}).get(name)
            if value is not None or "based_on" not in study:
                return value
            study = studies[study["based_on"]]

    asked = 0
    for study in studies.values():
        readings = [(entry["reading"], entry.get("draws")) for entry in setting(study, "cluster", "readings")]
        for claim in setting(study, "claims"):
            where = claim.get("where", {})
            if "alpha" in where:
                assert where["alpha"] in setting(study, "activations", "alphas"), claim["id"]
            if "digit" in where:
                assert where["digit"] in setting(study, "ace", "digits"), claim["id"]
            if "reading" in where:
                asked += 1
                assert [
                    where.get("draws", draws) == draws for reading, draws in readings if reading == where["reading"]
                ].count(True) == 1, claim["id"]
    assert asked
