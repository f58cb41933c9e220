"""MMD-critic, label-error scores, influence functions and centralities against dense formulas, refits and libraries."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier

from interneuron import baselines, graphs
from interneuron.errors import InputError
from interneuron.seeds import generator

rng = np.random.default_rng(0)


def dense(x, gamma, labels=None):
    k = rbf_kernel(x, gamma=gamma)
    return k if labels is None else k * (labels[:, None] == labels)


# MMD-critic


@pytest.mark.parametrize("labelled", [False, True])
def test_mmd_critic_is_greedy(labelled):
    x, labels = rng.normal(size=(60, 3)), rng.integers(3, size=60) if labelled else None
    k = dense(x, 0.4, labels)
    found = baselines.mmd_critic(x, 12, 9, 0.4, labels)
    chosen = []
    for _ in range(12):
        gains = {}
        for j in set(range(60)) - set(chosen):
            s = [*chosen, j]
            gains[j] = 2 * k[:, s].sum() / (60 * len(s)) - k[np.ix_(s, s)].sum() / len(s) ** 2
        chosen.append(max(gains, key=gains.get))
    assert found.prototypes.tolist() == chosen
    witness = k.mean(axis=1) - k[:, chosen].mean(axis=1)
    np.testing.assert_allclose(found.witness, witness, atol=1e-6)
    critical = []
    for _ in range(9):
        gains = {}
        for j in set(range(60)) - set(chosen) - set(critical):
            c = [*critical, j]
            gains[j] = np.abs(witness[c]).sum() + np.linalg.slogdet(k[np.ix_(c, c)])[1]
        critical.append(max(gains, key=gains.get))
    assert found.criticisms.tolist() == critical
    objective = baselines.criticism_objective(x, chosen, critical, 0.4, labels)
    assert objective == pytest.approx(gains[critical[-1]], rel=1e-4)


def test_log_det_term_keeps_criticisms_apart():
    """Duplicates of one far sample all have the largest witness; log det K of two of them is minus infinity."""
    x = np.concatenate([rng.normal(size=(30, 2)), np.repeat([[6.0, 6]], 4, axis=0)])
    found = baselines.mmd_critic(x, 1, 3, 0.5)
    assert sum(j >= 30 for j in found.criticisms) <= 1


def test_greedy_criticisms_are_near_the_best():
    x = rng.normal(size=(14, 2))
    found = baselines.mmd_critic(x, 3, 3, 0.5)
    others = np.setdiff1d(np.arange(14), found.prototypes)
    best = max(baselines.criticism_objective(x, found.prototypes, c, 0.5) for c in combinations(others, 3))
    ours = baselines.criticism_objective(x, found.prototypes, found.criticisms, 0.5)
    assert best - 0.2 < ours <= best + 1e-5


def test_every_sample_may_be_chosen():
    found = baselines.mmd_critic(rng.normal(size=(9, 2)), 5, 4, 1.0)
    assert sorted([*found.prototypes, *found.criticisms]) == list(range(9))
    assert len(baselines.mmd_critic(np.zeros((4, 1)), 2, 0, 1.0).criticisms) == 0


@pytest.mark.parametrize(("prototypes", "criticisms"), [(0, 1), (3, -1), (4, 3)])
def test_what_mmd_critic_refuses(prototypes, criticisms):
    with pytest.raises(InputError, match=f"{prototypes} prototypes and {criticisms} criticisms asked of 6 samples"):
        baselines.mmd_critic(np.zeros((6, 2)), prototypes, criticisms, 1.0)


def test_nearest_neighbour_error_is_scikit_learns():
    x, test_x = rng.normal(size=(80, 5)) + 9, rng.normal(size=(50, 5)) + 9
    labels, test_labels = rng.integers(4, size=80), rng.integers(4, size=50)
    want = 1 - KNeighborsClassifier(1).fit(x, labels).score(test_x, test_labels)
    assert baselines.nearest_neighbour_error(x, labels, test_x, test_labels) == pytest.approx(want)
    assert baselines.nearest_neighbour_error(x, labels, x, labels) == 0
    assert baselines.nearest_neighbour_error([[0.0], [0]], [1, 2], [[0.0]], [2]) == 1
    with pytest.raises(InputError, match=r"other samples have the shape \[50, 4\], and take \[samples, 5\]"):
        baselines.nearest_neighbour_error(x, labels, test_x[:, :4], test_labels)
    with pytest.raises(InputError, match=r"test labels have the shape \[3\], and take \[50\]"):
        baselines.nearest_neighbour_error(x, labels, test_x, test_labels[:3])
    with pytest.raises(InputError, match="labels are int64 and test labels <U21; numbers and text are never one class"):
        baselines.nearest_neighbour_error(x, labels, test_x, test_labels.astype(str))


# wrong labels


def flipped_blobs(classes=3, n=150, share=0.1):
    true = np.arange(n) % classes
    x = np.hstack([4 * np.eye(classes)[true] + rng.normal(size=(n, classes)), np.ones((n, 1))])
    wrong = rng.permutation(n) < share * n
    return x, np.where(wrong, (true + 1) % classes, true), wrong


def auroc(score, wrong):
    return np.mean(score[wrong][:, None] > score[~wrong]) + 0.5 * np.mean(score[wrong][:, None] == score[~wrong])


def test_knn_loss_by_hand():
    w = np.array([[5, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0.0]])
    got = baselines.knn_loss(sparse.csr_array(w), ["a", "a", "b", "b"])
    np.testing.assert_allclose(got, -np.log([3 / 5, 3 / 4, 1 / 3, 1 / 2]))


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_scikit_learns(classes):
    x, labels, _ = flipped_blobs(classes)
    decay = 0.02
    ours = baselines.logistic_regression(x, labels.astype(str), decay)
    theirs = LogisticRegression(C=1 / (decay * len(x)), fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.probabilities(x[:7]), theirs.predict_proba(x[:7]), atol=1e-6)
    assert ours.classes.tolist() == [str(c) for c in range(classes)]


def test_logistic_regression_of_what_can_be_separated():
    x = np.concatenate([rng.normal(size=(40, 3)) + 50, rng.normal(size=(40, 3)) - 50])
    model = baselines.logistic_regression(x, np.repeat([0, 1], 40), 1e-4)
    assert np.isfinite(model.weights).all()
    assert (model.probabilities(x).argmax(axis=1) == np.repeat([0, 1], 40)).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_self_influence_is_leaving_one_out(classes):
    x, labels, _ = flipped_blobs(classes, 20)
    decay, n = 0.05, 20
    scores = baselines.self_influence(x, labels, decay)
    model = baselines.logistic_regression(x, labels, decay)

    def own_losses(share):
        """Each sample's loss where it has the weight 1 - share in training."""
        losses = np.empty(n)
        for i in range(n):
            weight = np.ones(n)
            weight[i] -= share

            def objective(flat, weight=weight):
                m = baselines.Logistic(model.classes, flat.reshape(model.weights.shape))
                p = m.probabilities(x)
                loss = (weight * baselines.label_loss(p, labels)).mean() + decay / 2 * (flat**2).sum()
                p[np.arange(n), labels] -= 1
                slope = (weight[:, None] * p[:, -len(m.weights) :]).T @ x / n + decay * m.weights
                return loss, slope.ravel()

            best = minimize(objective, model.weights.ravel(), jac=True, tol=1e-12)
            changed = baselines.Logistic(model.classes, best.x.reshape(model.weights.shape))
            losses[i] = baselines.label_loss(changed.probabilities(x), labels)[i]
        return losses

    np.testing.assert_allclose((own_losses(0.02) - own_losses(-0.02)) / 0.04, scores, rtol=0.01, atol=1e-5)
    left_out = own_losses(1.0) - own_losses(0.0)
    assert np.corrcoef(left_out, scores)[0, 1] > 0.98


def test_scores_find_wrong_labels():
    x, labels, wrong = flipped_blobs(3, 300)
    w = graphs.knn_graph(graphs.neighbours(x, 12))
    p = baselines.cross_validated_probabilities(x, labels, generator(0, "folds"))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for score in (
        baselines.knn_loss(w, labels),
        baselines.self_influence(x, labels),
        baselines.label_loss(p, labels),
        baselines.confident_learning(p, labels),
    ):
        assert auroc(score, wrong) > 0.95


def test_cross_validation_holds_samples_out():
    """Labels without a rule: on samples that were fitted, the model would beat chance."""
    x, labels = rng.normal(size=(60, 50)), rng.integers(2, size=60)
    inside = baselines.logistic_regression(x, labels).probabilities(x)
    outside = baselines.cross_validated_probabilities(x, labels, generator(1, "folds"))
    assert (inside.argmax(axis=1) == labels).mean() == 1
    assert (outside.argmax(axis=1) == labels).mean() < 0.75
    again = baselines.cross_validated_probabilities(x, labels, generator(1, "folds"))
    np.testing.assert_array_equal(outside, again)


def test_confident_learning_ranks_cleanlabs_issues_first():
    from cleanlab.filter import find_label_issues

    x, labels, _ = flipped_blobs(2, 200)
    p = baselines.cross_validated_probabilities(x, labels, generator(0, "folds"))
    names = np.array(["ham", "spam"])[labels]
    score = baselines.confident_learning(p, names)
    ranked = find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    assert len(ranked) > 5
    assert np.argsort(-score, kind="stable")[: len(ranked)].tolist() == ranked.tolist()


def test_what_label_scores_refuse():
    x, labels, _ = flipped_blobs(2, 20)
    for run in (baselines.logistic_regression, baselines.self_influence):
        with pytest.raises(InputError, match="all labels are 1"):
            run(x, np.ones(20))
        with pytest.raises(InputError, match=r"labels have the shape \[5\], and take \[20\]"):
            run(x, labels[:5])
        with pytest.raises(InputError, match="decay is 0; logistic regression takes a number above 0"):
            run(x, labels, 0.0)
        with pytest.raises(InputError, match="features hold NaN or infinite"):
            run(np.full((20, 2), np.nan), labels)
    with pytest.raises(InputError, match="5 folds of classes with 1 samples and more"):
        baselines.cross_validated_probabilities(x, [1] * 19 + [0], generator(0, "folds"))
    for run in (baselines.logistic_regression, baselines.self_influence):
        for features in (1e20 * np.hstack([x, x]), 1e200 * x):
            with pytest.raises(InputError, match=r"leave nothing of a decay of 0\.0001 but rounding"):
                run(features, labels)
    with pytest.raises(InputError, match="all labels are 1; this takes two classes or more"):
        baselines.confident_learning(np.full((20, 3), 1 / 3), [1] * 20)
    with pytest.raises(InputError, match="features times weights are beyond 1e308"):
        baselines.Logistic(np.arange(2), np.array([[2.0]])).probabilities([[1e308]])


PROBABILITIES = np.array([[0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.8, 0.1, 0.1], [0.9, 0.05, 0.05]])


@pytest.mark.parametrize("score", [baselines.label_loss, baselines.confident_learning])
@pytest.mark.parametrize(
    ("probabilities", "labels", "classes", "words"),
    [
        (np.where(np.eye(5, 3) > 0, np.nan, 0.3), [0] * 5, None, r"probabilities hold NaN .*first at \[0, 0\]"),
        (np.log(PROBABILITIES), [0] * 5, None, "probabilities run from -3 to .*logits go through a softmax first"),
        (0.9 * PROBABILITIES, [0] * 5, None, r"probabilities sum to 0\.9 .*take rows that sum to 1"),
        (PROBABILITIES[0], [0] * 5, None, r"probabilities have the shape \[3\], and take \[samples, classes\]"),
        (PROBABILITIES, [0] * 4, None, r"labels have the shape \[4\], and take \[5\]"),
        (PROBABILITIES, [0, 1, 2, 3, 0], None, "labels hold 3, and take the columns' classes, 0 to 2"),
        (PROBABILITIES, [0, 1, -1, 1, 0], None, "labels hold -1, and take"),
        (PROBABILITIES, [0, 1, 0.5, 1, 0], None, r"labels hold 0\.5, and take whole numbers"),
        (PROBABILITIES, [0, 1, np.nan, 1, 0], None, "labels hold NaN"),
        (PROBABILITIES, list("ababa"), None, "labels name 2 classes, and probabilities have 3: give `classes`"),
        (PROBABILITIES, list("ababa"), ["a", "c", "d"], "labels hold b, and take the columns' classes, a to d"),
        (
            PROBABILITIES,
            [0, 1, 0, 1, 0],
            ["a", "b", "c"],
            "labels are int64 and classes <U1; numbers and text",
        ),
        (PROBABILITIES, [0, 1, 0, 1, 0], [0, 1], r"classes have the shape \[2\], and take \[3\]"),
        (PROBABILITIES, [0, 1, 2, 1, 0], [0, 1, 1], "classes name 2 columns of 3, and take a name each"),
        (PROBABILITIES, [0, 1, 0, 1, 0], [0, 1, 1], "classes name 2 columns of 3, and take a name each"),
    ],
)
def test_label_scores_take_probabilities_and_labels_of_their_columns(score, probabilities, labels, classes, words):
    with pytest.raises(InputError, match=words):
        score(probabilities, labels, classes)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 0], [2, 2, 0, 0, 2], [1, 1, 2, 2, 1]])
def test_classes_without_labels_are_cleanlabs(labels, recwarn):
    from cleanlab.filter import find_label_issues

    own = PROBABILITIES[range(5), labels]
    score = baselines.confident_learning(PROBABILITIES, labels)
    assert not len(recwarn)
    np.testing.assert_array_equal(score > 1, find_label_issues(np.array(labels), PROBABILITIES, n_jobs=1))
    np.testing.assert_allclose(score % 1, 1 - own)
    np.testing.assert_allclose(baselines.label_loss(PROBABILITIES, labels), -np.log(own))
    # Columns in any order, by their names.
    names = np.array(["x", "b", "m"])
    turned = PROBABILITIES[:, [2, 0, 1]]
    for values, classes in ((names[labels], names[[2, 0, 1]]), (7 * np.array(labels), [14, 0, 7])):
        np.testing.assert_allclose(baselines.label_loss(turned, values, classes), -np.log(own))
        np.testing.assert_allclose(baselines.confident_learning(turned, values, classes) % 1, 1 - own)


# centralities and random choice


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 12), st.booleans())
def test_pagerank_is_networkxs(seed, n, directed):
    graph = nx.gnp_random_graph(n, 0.3, seed=seed, directed=directed)
    for a, b in graph.edges:
        graph[a][b]["weight"] = 1.0 + (a + 2 * b) % 4
    want = nx.pagerank(graph, 0.85, tol=1e-13, max_iter=1000)
    got = baselines.pagerank(nx.to_scipy_sparse_array(graph, dtype=np.float64))
    np.testing.assert_allclose(got, [want[i] for i in range(n)], atol=1e-10)


def test_pagerank_of_float32_weights_comes_to_rest():
    """Their sums are not those of float64 in the last digits."""
    w = graphs.knn_graph(graphs.neighbours(rng.normal(size=(60, 3)), 7), weights="gaussian")
    assert w.dtype == np.float32
    want = nx.pagerank(nx.from_scipy_sparse_array(w.astype(np.float64)), 0.85, tol=1e-13, max_iter=1000)
    np.testing.assert_allclose(baselines.pagerank(w), [want[i] for i in range(60)], atol=1e-10)


def test_what_pagerank_refuses():
    with pytest.raises(InputError, match="damping is 1; PageRank takes 0 or more and less than 1"):
        baselines.pagerank(graphs.from_links([[0, 1]], 2), 1.0)


def test_resampling_follows_high_frequencies():
    w = graphs.from_links([[0, 1], [1, 2], [2, 3]], 5).astype(np.float64)
    x = np.array([[0.0, 0], [0, 0], [0, 0], [3, 4], [9, 9]])
    # Node 2's neighbours have the mean (1.5, 2), node 3's differs by (3, 4); an isolated node has none to differ from.
    np.testing.assert_allclose(baselines.resampling_probabilities(w, x), [0, 0, 2.5 / 7.5, 5 / 7.5, 0])
    with pytest.raises(InputError, match="every node's attributes are its neighbours' mean"):
        baselines.resampling_probabilities(w, np.ones((5, 2)))


def test_random_by_class_takes_as_many_of_each():
    labels = np.repeat(["a", "b", "c"], [10, 20, 30])
    chosen = baselines.random_by_class(labels, 11, generator(0, "choice"))
    assert len(set(chosen)) == 11
    assert sorted(np.unique(labels[chosen], return_counts=True)[1]) == [3, 4, 4]
    picks = [baselines.random_by_class(labels, 3, generator(seed, "choice")) for seed in range(300)]
    assert {j for pick in picks for j in pick} == set(range(60))
    for count in (2, 33):
        with pytest.raises(InputError, match=f"{count} samples asked of 3 classes, the smallest with 10"):
            baselines.random_by_class(labels, count, generator(0, "choice"))


def test_a_weighted_order_is_draws_without_replacement():
    weights = np.array([1.0, 2, 0, 5])
    orders = np.array([baselines.weighted_order(weights, generator(seed, "order")) for seed in range(4000)])
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    assert (orders[:, 3] == 2).all()
    np.testing.assert_allclose(np.bincount(orders[:, 0], minlength=4) / 4000, weights / 8, atol=0.03)
    second = orders[orders[:, 0] == 3, 1]
    np.testing.assert_allclose(np.bincount(second, minlength=4) / len(second), [1 / 3, 2 / 3, 0, 0], atol=0.03)
    for wrong in ([1, -1], [np.nan], []):
        with pytest.raises(InputError, match=r"^weights "):
            baselines.weighted_order(wrong, generator(0, "order"))


def test_errors_of_prefixes_are_those_of_each_by_itself() -> None:
    random = np.random.default_rng(0)
    x, test_x = random.random((60, 4)), random.random((30, 4))
    y, test_y = random.integers(0, 3, 60), random.integers(0, 3, 30)
    chosen = random.permutation(60)[:20]
    near = baselines.squared_distances(test_x, x)
    found = baselines.nearest_neighbour_errors(near, y, test_y, chosen, [1, 7, 20])
    for count, error in zip([1, 7, 20], found, strict=True):
        some = chosen[:count]
        assert error == baselines.nearest_neighbour_error(x[some], y[some], test_x, test_y)
    order = np.argsort(((test_x[:, None] - x) ** 2).sum(-1), axis=1)
    np.testing.assert_array_equal(np.argsort(near, axis=1)[:, :5], order[:, :5])


@pytest.mark.parametrize("counts", [[2, 1], [0, 2], [1, 5]])
def test_errors_of_prefixes_refuse(counts: list[int]) -> None:
    with pytest.raises(InputError, match="they rise, from 1 to what there is"):
        baselines.nearest_neighbour_errors(np.ones((2, 4)), np.arange(4), np.arange(2), np.arange(4), counts)
