"""Affinity propagation against scikit-learn and a plain float64 listing, the plateau rule, and the script."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.cluster import affinity_propagation as oracle
from sklearn.metrics import adjusted_rand_score, silhouette_score

from interneuron import clustering
from interneuron.clustering import affinity_propagation, in_step, plateau, preference_grid, silhouette, sweep
from interneuron.errors import InputError
from interneuron.io import load_table, save_tensors
from interneuron.similarity import spearman


def blobs(n, seed=0, centres=6):
    """Correlations of points around a few centres."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(centres, 8))[rng.integers(0, centres, n)] + 0.4 * rng.normal(size=(n, 8))
    return np.corrcoef(x).astype(np.float32)


def numbered(labels):
    """Labels numbered by first appearance: equal for equal partitions."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


@pytest.mark.parametrize("n", [5, 63, 64, 150])
@pytest.mark.parametrize(("distance", "damping"), [(0, 0.5), (0, 0.9), (1, 0.9), (10, 0.9)])
def test_labels_are_scikit_learns(n, distance, damping):
    s = blobs(n, seed=n)
    preference = float(np.median(s)) - distance
    found = affinity_propagation(s, preference, damping=damping)
    exemplars, labels, iterations = oracle(
        s, preference=preference, damping=damping, max_iter=1000, random_state=0, return_n_iter=True
    )
    assert found.converged
    assert found.count == len(exemplars) == len(found.exemplars)
    assert sorted(found.exemplars) == sorted(exemplars)
    np.testing.assert_array_equal(numbered(found.labels), numbered(labels))
    # 0 where preferences alone settle it.
    assert found.iterations == 0 or abs(found.iterations - iterations) <= 2


def test_messages_follow_the_formulas():
    n, damping, passes = 21, 0.6, 8
    rng = np.random.default_rng(1)
    s = rng.normal(size=(n, n)).astype(np.float32)
    np.fill_diagonal(s, -0.5)
    r, a = np.zeros((n, n)), np.zeros((n, n))
    for _ in range(passes):
        new = np.empty_like(r)
        for i in range(n):
            for k in range(n):
                new[i, k] = s[i, k] - max(a[i, j] + s[i, j] for j in range(n) if j != k)
        r = damping * r + (1 - damping) * new
        for i in range(n):
            for k in range(n):
                others = sum(max(0, r[j, k]) for j in range(n) if j not in (i, k))
                new[i, k] = others if i == k else min(0, r[k, k] + others)
        a = damping * a + (1 - damping) * new
    evidence = np.diagonal(a) + np.diagonal(r)
    mine_r, mine_a = np.empty_like(s), np.empty_like(s)
    exemplar, converged, iterations = clustering._propagate(
        s, mine_r, mine_a, np.float32(damping), passes, 100, 1, None
    )
    assert (converged, iterations) == (False, passes)
    np.testing.assert_allclose(mine_r, r, atol=1e-5)
    assert abs(evidence).min() > 1e-4
    assert 0 < exemplar.sum() < n
    np.testing.assert_array_equal(exemplar, evidence > 0)


def test_labels_by_falling_size_and_exemplars_in_their_clusters():
    found = affinity_propagation(blobs(150), -1.0)
    sizes = np.bincount(found.labels)
    assert len(sizes) > 2
    assert (np.diff(sizes) <= 0).all()
    np.testing.assert_array_equal(found.labels[found.exemplars], np.arange(found.count))


def test_result_does_not_depend_on_threads_and_repeats():
    s = blobs(200)
    runs = [affinity_propagation(s, -0.3, threads=threads, seed=3) for threads in (1, 1, 2, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.labels, runs[0].labels)
        assert run.iterations == runs[0].iterations
    states = []
    for threads in (1, 3):
        with clustering.ThreadPoolExecutor(threads) as pool:
            r, a = np.empty_like(s), np.empty_like(s)
            clustering._propagate(s, r, a, np.float32(0.9), 30, 50, threads, pool if threads > 1 else None)
            states.append(r.tobytes() + a.tobytes())
    assert states[0] == states[1]


def test_unconverged_runs_say_so():
    s = blobs(100)
    run = affinity_propagation(s, -0.3, max_iterations=3)
    assert not run.converged
    assert run.iterations == 3
    none = affinity_propagation(s, -100, max_iterations=1)
    assert (none.converged, none.count) == (False, 0)
    np.testing.assert_array_equal(none.labels, -1)


def test_input_is_left_alone_and_its_diagonal_not_used():
    s = blobs(60)
    other = s.copy()
    np.fill_diagonal(other, 17)
    before = s.tobytes()
    np.testing.assert_array_equal(affinity_propagation(s, -0.5).labels, affinity_propagation(other, -0.5).labels)
    assert s.tobytes() == before


def test_a_preference_of_its_own_for_each_point():
    s = blobs(80)
    preference = np.full(80, -5.0)
    preference[[3, 40]] = 2.0
    exemplars, labels = oracle(s, preference=preference, damping=0.9, max_iter=1000, random_state=0)
    found = affinity_propagation(s, preference)
    assert sorted(found.exemplars) == sorted(exemplars)
    np.testing.assert_array_equal(numbered(found.labels), numbered(labels))


def test_duplicates_do_not_make_clusters_of_their_own():
    x = np.random.default_rng(0).integers(0, 3, (300, 3)).astype(np.float32)
    x = x[x.min(axis=1) < x.max(axis=1)]
    s = spearman(x)
    distinct = len(np.unique(s, axis=0))
    run = affinity_propagation(s, -0.5, tie_noise=1e-3, convergence=50)
    assert run.converged
    assert 2 <= run.count <= distinct < 20


def test_duplicates_that_are_both_exemplars_are_in_step():
    s = spearman(np.array([[1, 2, 3], [2, 4, 9], [3, 1, 2], [3, 2, 1.0]]))
    assert in_step(s, [0, 1, 2])
    assert not in_step(s, [0, 2, 3])
    assert not in_step(s, [1])
    assert not in_step(s, np.zeros(0, np.int64))


@pytest.mark.parametrize(("preference", "count"), [(0.9, 4), (0.1, 1)])
def test_equal_similarities_and_a_single_point(preference, count):
    run = affinity_propagation(np.full((4, 4), 0.5, np.float32), preference)
    assert (run.count, run.converged, run.iterations) == (count, True, 0)
    assert affinity_propagation(np.ones((1, 1)), -3.0).labels.tolist() == [0]


def net_similarity(s, preference, exemplars):
    """What affinity propagation seeks the most of, each point having joined the exemplar most similar to it."""
    others = np.setdiff1d(np.arange(len(s)), exemplars)
    return preference[exemplars].sum() + s[np.ix_(others, exemplars)].max(axis=1, initial=-np.inf).sum()


def greatest(s, preference):
    """The greatest net similarity of all sets of exemplars."""
    points = range(len(s))
    return max(net_similarity(s, preference, list(c)) for m in points for c in combinations(points, m + 1))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.0, 0.5, 1e200, -1e200, 1e-200, 3e-38]))
def test_of_equal_similarities_the_greatest_net_similarity_is_found(seed, n, value):
    unit = max(abs(value), 1e-300)
    preference = value + unit * np.random.default_rng(seed).choice([-2, -0.5, 0, 0, 1, 3], n)
    run = affinity_propagation(np.full((n, n), value), preference)
    assert run.converged
    best = greatest(np.full((n, n), value), preference)
    assert net_similarity(np.full((n, n), value), preference, run.exemplars) == pytest.approx(best, rel=1e-12)
    np.testing.assert_array_equal(run.labels[run.exemplars], np.arange(run.count))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([0.0, 1.0, 1e6]), st.sampled_from([1e-9, 1.0, 1e200]))
def test_preferences_that_settle_it_give_the_greatest_net_similarity(seed, n, offset, scale):
    rng = np.random.default_rng(seed)
    s = scale * (offset + rng.random((n, n)))
    below = rng.random(n) < rng.choice([0.5, 1.0])
    away = rng.choice([1.0, 1e3, 1e12])
    preference = scale * (offset + np.where(below, -n * 1.1 * away, 1.1 + away))
    run = affinity_propagation(s, preference)
    found, best = (of / scale for of in (net_similarity(s, preference, run.exemplars), greatest(s, preference)))
    assert found == pytest.approx(best, abs=1e-12 * abs(best))
    if below.all():
        # Of one preference for all the sum of similarities decides, however low it is.
        lowest = affinity_propagation(s, -1e250)
        np.fill_diagonal(s, 0)
        assert lowest.exemplars.tolist() == [np.argmax(s.sum(axis=0))]


@pytest.mark.parametrize(("factor", "offset"), [(1e-10, 1.0), (1e-3, 1e4), (1e200, 0), (1e-200, 0), (1e-31, 0)])
def test_what_float32_cannot_hold_gives_what_similarities_of_usual_size_give(factor, offset):
    s = blobs(60).astype(np.float64)
    for distance in (0, 1, 10):
        preference = np.median(s) - distance
        run = affinity_propagation(factor * s + offset, factor * preference + offset)
        assert run.converged
        np.testing.assert_array_equal(run.labels, affinity_propagation(s, preference).labels)


def test_preferences_may_forbid_and_force_exemplars():
    s = blobs(80).astype(np.float64)
    preference = np.full(80, -2.0)
    preference[[3, 40]], preference[10:30] = 1e200, -1e200
    found = affinity_propagation(s, preference)
    modest = np.clip(preference, -1e3, 1e3)
    assert {3, 40} <= set(found.exemplars)
    assert not set(found.exemplars) & set(range(10, 30))
    np.testing.assert_array_equal(found.labels, affinity_propagation(s, modest).labels)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"similarity": np.zeros((2, 3))}, r"shape \[2, 3\]"),
        ({"similarity": np.zeros((3, 3), complex)}, "complex128"),
        ({"similarity": [[1, 2], [3]]}, "cannot be read as an array of numbers"),
        ({"similarity": 2.0}, r"shape \[\]"),
        ({"similarity": np.array([[0, 1e308], [-1e308, 0]])}, r"from -1e\+308 to 1e\+308 add up beyond 1e308"),
        ({"similarity": np.full((3, 3), np.nan)}, "NaN or infinite"),
        ({"preference": np.zeros(3)}, r"shape \[3\]"),
        ({"preference": np.inf}, "preferences hold NaN or infinite"),
        ({"damping": 1.0}, "damping is 1"),
        ({"damping": 0.4}, "damping is 0.4"),
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"convergence": 0}, "convergence is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"tie_noise": -1.0}, "tie_noise is -1"),
        ({"memory_limit": 12 * 400 - 1}, r"4,800 bytes \(12 n\^2\), more than the 4,799 allowed"),
    ],
)
def test_what_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        affinity_propagation(**{"similarity": blobs(20), "preference": -1.0, **arguments})


def test_memory_limit_refuses_before_allocating():
    s = np.broadcast_to(np.float32(1), (10**6, 10**6))
    with pytest.raises(InputError, match="12,000,000,000,000 bytes"):
        affinity_propagation(s, 0.0, memory_limit=2**30)
    assert affinity_propagation(blobs(20), -1.0, memory_limit=4800).count > 0


def test_every_run_of_a_sweep_is_cold():
    s = blobs(120)
    grid = preference_grid(s, -20, 5)
    seen = []
    found = sweep(s, grid, seed=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]
    assert len(set(found.counts.tolist())) > 2
    for i, preference in enumerate(grid):
        run = affinity_propagation(s, preference, seed=2)
        np.testing.assert_array_equal(found.labels[i], run.labels)
        assert (found.counts[i], found.converged[i], found.iterations[i]) == (
            run.count,
            run.converged,
            run.iterations,
        )
    with pytest.raises(InputError, match=r"preferences have the shape \[0\], and take at least 1"):
        sweep(s, [])


def test_preference_grid():
    s = blobs(50)
    grid = preference_grid(s, -100, 9, near=0.2)
    assert grid[0] == np.float64(np.median(s))
    assert grid[-1] == -100
    distances = grid[0] - grid[1:]
    assert distances[0] == pytest.approx(0.2)
    np.testing.assert_allclose(np.diff(np.log(distances)), np.log(distances[-1] / 0.2) / 7)
    with pytest.raises(InputError, match="no grid below the median"):
        preference_grid(s, 1.0, 9)
    with pytest.raises(InputError, match="at least 2"):
        preference_grid(s, -1.0, 1)
    np.testing.assert_allclose(preference_grid(s, -3, 8, high=0.5), [0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3])
    with pytest.raises(InputError, match="is not below the highest"):
        preference_grid(s, 0.5, 8, high=0.5)


GRID = -np.r_[0, 2.0 ** np.arange(7)]


@pytest.mark.parametrize(
    ("counts", "unconverged", "expected", "steps"),
    [
        ([9, 8, 7, 7, 7, 5, 5, 4], [], (3, 2, 5), 2),
        ([9, 8, 7, 7, 5, 5, 4, 3], [], (4, 4, 6), 1),  # equally long: the smaller number of clusters
        ([9, 7, 7, 7, 7, 5, 4, 3], [], (2, 1, 5), 3),  # of two middles the one nearer the median
        ([9, 7, 7, 7, 7, 5, 5, 3], [3], (5, 5, 7), 1),  # an unconverged run ends an interval
        ([9, 6, 5, 5, 1, 1, 1, 1], [], (2, 2, 4), 1),  # one cluster is none
        ([7, 7, 6, 5, 4, 3, 2, 1], [], (6, 6, 6), 0),  # the median is not on the grid; fewest clusters
        ([7, 7, 6, 5, 4, 3, 2, 1], [6, 5], (4, 4, 4), 0),
        ([1, 1, 1, 1, 1, 1, 1, 1], [0, 1], (2, 2, 2), 0),
        ([9, 7, 7, 7, 7, 5, 5, 3], range(8), (0, 0, 0), 0),
    ],
)
def test_plateau(counts, unconverged, expected, steps):
    converged = np.ones(8, bool)
    converged[list(unconverged)] = False
    found = plateau(GRID, counts, converged)
    assert (found.chosen, found.start, found.stop) == expected
    assert found.length == pytest.approx(steps * np.log(2))


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8), st.booleans())
@settings(max_examples=300, deadline=None)
def test_plateau_is_the_best_of_all_intervals(runs, linear):
    counts, good = [k for k, _ in runs], [c for _, c in runs]
    grid = np.linspace(0.5, -3, 8) if linear else GRID
    found = plateau(grid[: len(runs)], counts, good, linear)
    intervals = [
        (start - stop, counts[start], start, stop)
        for start in range(0 if linear else 1, len(runs))
        for stop in range(start + 2, len(runs) + 1)
        if all(good[start:stop]) and len(set(counts[start:stop])) == 1 and counts[start] >= 2
    ]
    if intervals:
        assert (found.start, found.stop) == min(intervals)[2:]
        step = 0.5 if linear else np.log(2)
        assert found.length == pytest.approx((found.stop - found.start - 1) * step)
        assert found.start <= found.chosen < found.stop
    else:
        assert found.length == 0
        assert good[found.chosen] == any(good)
        usable = [k for k, c in runs if c and k >= 2]
        if usable:
            assert counts[found.chosen] == min(usable)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, -1], [1], [True, True]), r"counts have the shape \[1\], and take \[2\]"),
        (([0, 1], [1, 2], [True, True]), "fall from the median"),
    ],
)
def test_what_the_plateau_rule_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        plateau(*arguments)


@pytest.mark.parametrize("clusters", [2, 7, 40])
def test_silhouette_is_scikit_learns(clusters):
    s = blobs(60)
    labels = np.random.default_rng(0).integers(0, clusters, 60)
    distance = 1 - s.astype(np.float64)
    np.fill_diagonal(distance, 0)
    expected = silhouette_score(distance, labels, metric="precomputed")
    assert silhouette(s, labels) == pytest.approx(expected, abs=1e-5)


def test_silhouette_of_one_cluster_or_all_apart_is_nan():
    s = blobs(5)
    assert np.isnan(silhouette(s, np.zeros(5)))
    assert np.isnan(silhouette(s, np.arange(5)))
    with pytest.raises(InputError, match=r"labels have the shape \[4\], and take \[5\]"):
        silhouette(s, np.zeros(4))
    with pytest.raises(InputError, match="similarities go up to 5, and distances 1 - similarity take at most 1"):
        silhouette(5 * s, [0, 0, 1, 1, 1])


LAYERS = [["input", 4], ["relu1", 30], ["sigmoid", 16]]
ALPHAS = [-1.0, 1.0]
READINGS = [
    {"reading": "activation", "draws": 30},
    {"reading": "A", "draws": 30},
    {"reading": "B"},
    {"reading": "C", "draws": 3},
]


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(5)
    weights, offset = rng.normal(size=(6, 46)), rng.normal(size=46)
    z = rng.normal(size=(30, 6))
    tensors, effects = {}, {}
    for seed, latent in ((0, 1), (0, 0), (1, 1)):
        y = []
        for alpha in ALPHAS:
            h = z.copy()
            h[:, latent] = alpha
            hidden = np.maximum(h @ weights + offset + 0.1 * seed, 0)
            hidden[:, 0] = 0
            y.append(np.hstack([h[:, :2], np.tile([0.0, 1.0], (30, 1)), hidden]))
        tensors[f"seed{seed}.digit5.z{latent}"] = np.stack(y).astype(np.float32)
        effect = rng.normal(size=(6, 3, 46)).astype(np.float32)
        effect[:, :, 0] = 0
        effects[f"seed{seed}.digit5.effect"] = effect
    about = {"layers": LAYERS, "alphas": ALPHAS, "digits": [5], "seeds": [0, 1]}
    save_tensors(tmp_path / "a.safetensors", tensors, {**about, "latents": {"0": [1, 0], "1": [1]}})
    save_tensors(
        tmp_path / "e.safetensors",
        effects,
        {**about, "layers": LAYERS[1:], "alphas": [-1.0, 0.0, 1.0], "draws": 1024},
    )
    return SimpleNamespace(
        input=SimpleNamespace(activations=tmp_path / "a.safetensors", ace=tmp_path / "e.safetensors"),
        output=SimpleNamespace(clusters=tmp_path / "clusters.parquet", sweep=tmp_path / "sweep.parquet"),
        params=SimpleNamespace(
            settings={
                "readings": READINGS,
                "preferences": {"low": -20.0, "count": 6},
                "damping": 0.9,
                "max_iterations": 300,
                "convergence": 15,
                "code": "x",
            }
        ),
        wildcards=SimpleNamespace(study="s", block="000-001"),
        threads=1,
        log=[str(tmp_path / "log")],
        rule="cluster",
        tensors=tensors,
        effects=effects,
    )


def script():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[1] / "scripts" / "cluster.py"
    spec = importlib.util.spec_from_file_location("cluster_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KEY = ["seed", "digit", "latent", "alpha", "reading", "draws"]


def test_script(job):
    main = script().main
    main(job)
    first = job.output.clusters.read_bytes() + job.output.sweep.read_bytes()
    main(job)
    assert job.output.clusters.read_bytes() + job.output.sweep.read_bytes() == first
    clusters, swept = load_table(job.output.clusters), load_table(job.output.sweep)
    assert clusters.columns.tolist() == [*KEY, "neuron", "cluster", "exemplar", "converged"]
    assert swept.columns.tolist() == [
        *KEY,
        *["preference", "clusters", "converged", "iterations", "silhouette"],
        *["median", "plateau", "chosen", "reported", "constant", "vectors"],
    ]
    names = [f"{layer}:{i}" for layer, size in LAYERS for i in range(size)]
    assert len(clusters) == 3 * len(READINGS) * len(ALPHAS) * len(names)
    for key, rows in clusters.groupby(KEY):
        assert rows["neuron"].tolist() == names
        runs = swept[(swept[KEY] == list(key)).all(axis=1)]
        assert len(runs) == 6
        chosen = runs[runs["chosen"]]
        assert len(chosen) == 1
        assert runs["median"].tolist() == [True] + [False] * 5
        assert rows["cluster"].max() + 1 == chosen["clusters"].item()
        assert rows["exemplar"].sum() == chosen["clusters"].item()
        assert (rows["converged"] == chosen["converged"].item()).all()
        assert (rows["cluster"] == -1).sum() == chosen["constant"].item()
        assert runs.loc[~runs["converged"], "silhouette"].isna().all()
        # The clamped latent, the classes and the dead neuron; effects have no inputs.
        still = {"input:2", "input:3", "relu1:0"} | {f"input:{key[2]}"}
        if key[4] in "AC":
            still |= {"input:0", "input:1"} if key[4] == "A" else set()
        if key[4] == "B":
            still |= {"input:0", "input:1"}
        if key[4] != "C":
            assert still <= set(rows.loc[rows["cluster"] == -1, "neuron"])
    b = clusters[(clusters["seed"] == 0) & (clusters["reading"] == "B")]
    assert set(b["draws"]) == {1024}
    np.testing.assert_array_equal(b.loc[b["latent"] == 0, "cluster"], b.loc[b["latent"] == 1, "cluster"])


def test_script_is_scipys_ranks_and_scikit_learns_clusters(job):
    """Three draws, a linear sweep and a reported preference, from the formulas alone."""
    job.params.settings |= {"readings": [{"reading": "A", "draws": 3}], "tie_noise": 1e-3, "convergence": 50}
    job.params.settings["preferences"] = {"low": -3.0, "high": 0.5, "count": 8, "reported": 0.1}
    script().main(job)
    clusters, swept = load_table(job.output.clusters), load_table(job.output.sweep)
    y = job.tensors["seed0.digit5.z1"][:, :3].astype(np.float64)
    compared = 0
    for number, alpha in enumerate(ALPHAS):
        own = (y[number] - y.mean(axis=0)).T
        varies = np.ptp(own, axis=1) > 1e-5 * np.abs(y).max(axis=(0, 1))
        similarity = spearmanr(own[varies], axis=1).statistic
        at = {"seed": 0, "latent": 1, "alpha": alpha}
        runs = swept[(swept[list(at)] == pd.Series(at)).all(axis=1)]
        labels = clusters[(clusters[list(at)] == pd.Series(at)).all(axis=1)]
        np.testing.assert_allclose(runs["preference"], [0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, 0.1])
        assert runs["reported"].tolist() == [False] * 8 + [True]
        assert not runs["median"].any()
        assert not runs["chosen"].iloc[-1]
        assert (labels["cluster"] >= 0).tolist() == varies.tolist()
        # Which of two exact duplicates stands for them is left to the noise: compared is the partition.
        for _, run in runs[runs["converged"] & runs["chosen"]].iterrows():
            noise = 1 + 1e-3 * np.random.default_rng(1).standard_normal(similarity.shape)
            centres, theirs = oracle(
                similarity * noise, preference=run["preference"], damping=0.9, max_iter=300, convergence_iter=50,
                random_state=0,
            )  # fmt: skip
            assert len(centres) == run["clusters"]
            assert adjusted_rand_score(theirs, labels.loc[labels["cluster"] >= 0, "cluster"]) == 1
            compared += 1
    assert compared


def test_script_vectors(job):
    vectors = script().vectors
    y, effect = job.tensors["seed0.digit5.z1"], job.effects["seed0.digit5.effect"][:, [0, 2]]
    key = (0, "repetitions", 5, 1)
    few = vectors({"reading": "activation", "draws": 5}, y, None, key)
    np.testing.assert_array_equal(few[1], y[1, :5].T)
    few = vectors({"reading": "A", "draws": 5}, y, None, key)
    np.testing.assert_allclose(few[1], (y[1, :5] - y[:, :5].mean(axis=0)).T, atol=1e-6)
    few = vectors({"reading": "B"}, y, effect, key)
    np.testing.assert_array_equal(few[1][4:], effect[:, 1].T)
    np.testing.assert_array_equal(few[1][:4], 0)
    few = vectors({"reading": "C", "draws": 7}, y, None, key)
    assert few[0].shape == (50, 4)
    with pytest.raises(InputError, match="takes 31 draws, and the activations have 30"):
        vectors({"reading": "A", "draws": 31}, y, None, key)


def test_script_refuses_files_that_do_not_belong_together(job):
    save_tensors(job.input.ace, job.effects, {"layers": LAYERS, "alphas": ALPHAS, "digits": [5], "draws": 8})
    with pytest.raises(InputError, match="has the layers"):
        script().main(job)
    save_tensors(job.input.ace, job.effects, {"layers": LAYERS[1:], "alphas": [1.0], "digits": [5], "draws": 8})
    with pytest.raises(InputError, match=r"lacks \[-1.0\]"):
        script().main(job)
    assert not job.output.clusters.exists()


def test_script_leaves_silent_networks_unclustered(job):
    job.params.settings["readings"] = READINGS[:1]
    job.tensors["seed1.digit5.z1"][:] = 1
    from interneuron.io import metadata

    save_tensors(job.input.activations, job.tensors, metadata(job.input.activations))
    script().main(job)
    clusters, swept = load_table(job.output.clusters), load_table(job.output.sweep)
    silent = clusters[clusters["seed"] == 1]
    assert len(silent) == 2 * 50
    assert (silent["cluster"] == -1).all()
    assert not silent["converged"].any()
    assert set(swept["seed"]) == {0}
