"""Merging regions: every step against all pairs tried one by one, fidelity against the samples themselves."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import inputs, perceptron
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from interneuron import regions
from interneuron.errors import InputError

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30)


def case(sizes=(3, 6, 4, 2), n=300, seed=0, most=7):
    """A network's samples in its `most` largest regions: x, y, labels, omega, b, in float64."""
    network, x = perceptron(*sizes, seed=seed, dtype=torch.float64), inputs(n, sizes[:1], seed, torch.float64)
    found = regions.unique_patterns(regions.activation_patterns(network, x))
    x = x[found.labels < most]
    labels = found.labels[found.labels < most]
    first = np.unique(labels, return_index=True)[1]
    omega, b = regions.affine_maps(network, x[first])
    return x.numpy(), regions.network_outputs(network, x).numpy(), labels, omega.numpy(), b.numpy()


def applied(x, omega, b):
    return x @ omega.T + b


def classes(y):
    return y.argmax(1) if y.shape[1] > 1 else (y[:, 0] > 0).astype(int)


class Brute:
    """Merging as its definition says it: every pair tried, nothing kept from step to step but the sets."""

    def __init__(self, x, y, labels, omega, b):
        self.x, self.y, self.labels, self.omega, self.b = x, y, labels, omega, b
        self.sets = [(region,) for region in range(len(omega))]

    def here(self, regions_):
        return np.isin(self.labels, regions_)

    def squares(self, regions_, omega, b):
        here = self.here(regions_)
        return float(((applied(self.x[here], omega, b) - self.y[here]) ** 2).sum())

    def map_of(self, regions_, maps):
        """The merged region's map."""
        if maps == "member":
            best = min(regions_, key=lambda r: self.squares(regions_, self.omega[r], self.b[r]))
            return self.omega[best], self.b[best]
        here = self.here(regions_)
        inputs_ = np.column_stack([self.x[here], np.ones(here.sum())])
        solution = np.linalg.lstsq(inputs_, self.y[here], rcond=None)[0]
        return solution[:-1].T, solution[-1]

    def entropy(self, sets):
        return float(stats.entropy([self.here(s).sum() for s in sets]))

    def cosine(self, i, j, maps):
        """Of the two merged regions' outputs over all samples."""
        outputs = [applied(self.x, *self.map_of(self.sets[k], maps)) for k in (i, j)]
        if self.y.shape[1] > 1:
            outputs = [y - y.mean(1, keepdims=True) for y in outputs]
        dot = (outputs[0] * outputs[1]).mean()
        return float(dot / np.sqrt((outputs[0] ** 2).mean() * (outputs[1] ** 2).mean()))

    def scores(self, principle, maps):
        found = {}
        for i, j in combinations(range(len(self.sets)), 2):
            both = self.sets[i] + self.sets[j]
            if principle == "orthogonality":
                found[i, j] = -self.cosine(i, j, maps)
                continue
            rise = self.squares(both, *self.map_of(both, maps)) - sum(
                self.squares(s, *self.map_of(s, maps)) for s in (self.sets[i], self.sets[j])
            )
            rest = [s for k, s in enumerate(self.sets) if k not in (i, j)]
            found[i, j] = rise / (self.entropy(self.sets) - self.entropy([*rest, both]))
        return found


def assert_path(path, x, y, labels, omega, b, principle, maps):
    """Every size of a path against its definition."""
    brute, spread = Brute(x, y, labels, omega, b), float(((y - y.mean(0)) ** 2).sum())
    count = len(omega)
    assert path.sizes.tolist() == list(range(count, 0, -1))
    assert path.counts.tolist() == np.bincount(labels).tolist()
    for step, size in enumerate(path.sizes.tolist()):
        assert path.entropy[step] == pytest.approx(brute.entropy(brute.sets), abs=1e-12)
        of = path.labels(size)
        partition = {tuple(np.flatnonzero(of == group).tolist()) for group in range(size)}
        assert partition == {tuple(sorted(s)) for s in brute.sets}
        support = np.bincount(of, weights=path.counts)
        assert (np.diff(support) <= 0).all()

        merged, offsets = path.maps(size)
        assert merged.shape == (size, *omega.shape[1:])
        found = np.stack([applied(u[None], merged[g], offsets[g])[0] for u, g in zip(x, of[labels], strict=True)])
        for group in range(size):
            members = tuple(np.flatnonzero(of == group).tolist())
            here = np.isin(labels, members)
            expected = applied(x[here], *brute.map_of(members, maps))
            np.testing.assert_allclose(found[here], expected, rtol=0, atol=1e-5 * np.abs(y).max())
        squares = ((found - y) ** 2).sum()
        assert path.deviation[step] == pytest.approx(squares / y.size, abs=1e-9 * spread)
        assert path.explained[step] == pytest.approx(1 - squares / spread, abs=1e-9)
        assert path.agreement[step] == pytest.approx((classes(found) == classes(y)).mean())
        again = regions.fidelity(x, y, of[labels], merged, offsets)
        np.testing.assert_allclose(
            again, [column[step] for column in (path.agreement, path.deviation, path.explained)], atol=1e-12
        )

        if size == 1:
            assert np.isnan(path.overlap[step])
            return
        pairs = list(combinations(range(size), 2))
        expected = np.mean([abs(brute.cosine(i, j, maps)) for i, j in pairs])
        assert path.overlap[step] == pytest.approx(expected, abs=1e-6)
        scores = brute.scores(principle, maps)
        i, j = path.merges[step].tolist()
        chosen = (
            next(k for k, s in enumerate(brute.sets) if s[0] == i),
            next(k for k, s in enumerate(brute.sets) if s[0] == j),
        )
        scale = max(1e-9, *map(abs, scores.values()))
        assert scores[chosen] <= min(scores.values()) + 1e-6 * scale
        brute.sets[chosen[0]] += brute.sets[chosen[1]]
        del brute.sets[chosen[1]]


@pytest.mark.parametrize("maps", ["refit", "member"])
@pytest.mark.parametrize("principle", ["entropy", "orthogonality"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_every_step_is_the_best_of_all_pairs(principle, maps, outputs):
    given_ = case((3, 6, 4, outputs), seed=outputs)
    path = regions.merge_path(*given_, principle, maps)
    assert_path(path, *given_, principle, maps)
    assert path.agreement[0] == 1
    assert path.explained[0] == pytest.approx(1)
    assert (np.diff(path.entropy) < 0).all()
    if maps == "refit":
        assert (np.diff(path.deviation) > -1e-9).all()
    else:
        assert all(any(np.array_equal(m, o) for o in given_[3]) for size in path.sizes for m in path.maps(size)[0])


def test_what_is_one_map_is_merged_first_and_for_nothing():
    x, y, labels, omega, b = case((2, 4, 1), n=400, most=4, seed=5)
    halves = 2 * labels + (np.arange(len(labels)) % 2)
    twice, offsets = np.repeat(omega, 2, axis=0), np.repeat(b, 2, axis=0)
    for maps in ("refit", "member"):
        path = regions.merge_path(x, y, halves, twice, offsets, "entropy", maps)
        assert path.explained[:5] == pytest.approx(np.ones(5))
        assert path.explained[5] < 1 - 1e-6
        assert regions.partition_agreement(path.labels(4)[halves], labels) == 1
        # Those that remove most entropy go first.
        assert [sorted(pair.tolist()) for pair in path.merges[:4]] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    parallel = regions.merge_path(x, y, halves, twice, offsets, "orthogonality", "member")
    assert parallel.explained[:5] == pytest.approx(np.ones(5))


def test_paths_are_the_same_in_single_precision_and_again():
    given_ = case((3, 8, 5, 3), seed=2)
    path = regions.merge_path(*given_)
    again = regions.merge_path(*given_)
    single = regions.merge_path(given_[0].astype(np.float32), given_[1].astype(np.float32), *given_[2:])
    for name in ("agreement", "deviation", "entropy", "merges"):
        assert np.array_equal(getattr(path, name), getattr(again, name))
    assert np.array_equal(path.merges, single.merges)
    np.testing.assert_allclose(path.explained, single.explained, atol=1e-5)


def test_fewer_components_than_inputs():
    x, y, labels, omega, b = case((9, 6, 2), n=500, seed=3, most=6)
    path = regions.merge_path(x, y, labels, omega, b, components=3)
    assert path.agreement[0] == 1
    assert path.explained[0] == pytest.approx(1)
    merged, offsets = path.maps(1)
    # The mean map corrected along three axes: less than least squares, and more than the mean alone.
    share = np.bincount(labels) / len(labels)
    mean = regions.fidelity(
        x, y, np.zeros_like(labels), np.einsum("r,rkd->kd", share, omega)[None], (share @ b)[None]
    ).explained
    least = regions.merge_path(x, y, labels, omega, b).explained[-1]
    assert mean < regions.fidelity(x, y, np.zeros_like(labels), merged, offsets).explained < least
    assert path.explained[-1] == pytest.approx(regions.fidelity(x, y, np.zeros_like(labels), merged, offsets).explained)


def test_choosing_and_progress():
    seen = []
    given_ = case((3, 7, 5, 2), seed=4, most=9)
    path = regions.merge_path(*given_, progress=lambda done, of: seen.append((done, of)))
    count = len(given_[3])
    assert seen == [(i + 1, count) for i in range(count)]
    for agreement in (0.5, 0.9, 0.99, 1.0):
        kept = [s for s, a in zip(path.sizes, path.agreement, strict=True) if a >= agreement]
        assert path.choose(agreement) == min(kept)
    both = path.choose(0.9, 0.95)
    kept = (path.agreement >= 0.9) & (path.explained >= 0.95)
    assert both == path.sizes[kept].min()
    assert path.choose(1.0, 1.1) is None
    for size in (0, count + 1):
        with pytest.raises(InputError, match=f"size is {size}, and takes 1 to {count}"):
            path.labels(size)
    one = regions.merge_path(given_[0], given_[1], np.zeros(len(given_[0]), int), given_[3][:1], given_[4][:1])
    assert one.sizes.tolist() == [1]
    assert one.merges.shape == (0, 2)


def test_the_principal_frame_is_that_of_scikit_learn():
    x = (inputs(200, (2, 3), dtype=torch.float64) @ inputs(3, (3,), 1, torch.float64)).numpy()
    frame, pca = regions.principal_frame(x, 4), PCA(4).fit(x.reshape(200, 6))
    np.testing.assert_allclose(frame.mean, pca.mean_)
    np.testing.assert_allclose(frame.scale**2, pca.explained_variance_ * 199 / 200)
    np.testing.assert_allclose(np.abs(frame.axes.T @ pca.components_.T), np.eye(4), atol=1e-9)
    assert frame.share == pytest.approx(pca.explained_variance_ratio_.sum())
    z = frame.inputs(x)
    np.testing.assert_allclose(z[:, :-1].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z[:, :-1].T @ z[:, :-1] / 200, np.eye(4), atol=1e-9)
    assert (z[:, -1] == 1).all()
    flat = np.column_stack([x.reshape(200, 6), np.full(200, 3.0)])
    assert len(regions.principal_frame(flat).scale) == 6
    for bad, sentence in ((np.ones((5, 2)), "all the same"), (np.full((5, 2), np.nan), "NaN or infinite")):
        with pytest.raises(InputError, match=sentence):
            regions.principal_frame(bad)
    with pytest.raises(InputError, match="components is 0"):
        regions.principal_frame(x, 0)


def test_coordinates_measure_maps_by_their_outputs():
    x, _, _, omega, b = case((4, 6, 5, 3), seed=6)
    frame = regions.principal_frame(x)
    places = frame.coordinates(torch.from_numpy(omega), b)
    outputs = np.stack([applied(x, w, c) for w, c in zip(omega, b, strict=True)])
    np.testing.assert_allclose(np.einsum("nq,mkq->mnk", frame.inputs(x), places), outputs, atol=1e-9)
    for i, j in combinations(range(len(omega)), 2):
        distance, dot = ((outputs[i] - outputs[j]) ** 2).sum(1).mean(), (outputs[i] * outputs[j]).sum(1).mean()
        assert ((places[i] - places[j]) ** 2).sum() == pytest.approx(distance)
        assert (places[i] * places[j]).sum() == pytest.approx(dot)


def test_groups_are_those_of_weighted_k_means():
    stream = np.random.default_rng(0)
    truth = stream.permutation(np.repeat([0, 1, 2], [30, 12, 5]))
    points = stream.normal(size=(3, 2, 4))[truth] * 10 + stream.normal(size=(47, 2, 4)) * 0.1
    counts = stream.integers(1, 50, 47)
    found = regions.group_regions(points, counts, 3, seed=1)
    assert adjusted_rand_score(truth, found.labels) == 1
    support = np.bincount(found.labels, weights=counts)
    assert (np.diff(support) <= 0).all()
    for group in range(3):
        here = found.labels == group
        mean = np.average(points[here], axis=0, weights=counts[here])
        np.testing.assert_allclose(found.centres[group], mean)
        away = ((points - mean) ** 2).sum((1, 2))
        away[~here] = np.inf
        assert found.nearest[group] == away.argmin()
    assert np.array_equal(found.labels, regions.group_regions(points, counts, 3, seed=1).labels)
    assert np.array_equal(regions.nearest_groups(points, found.centres), found.labels)

    other = stream.normal(size=(200, 2, 4))
    distances = ((other[:, None] - found.centres) ** 2).sum((2, 3))
    assert np.array_equal(regions.nearest_groups(other, found.centres), distances.argmin(1))
    assert len(np.unique(regions.group_regions(points, counts, 47).labels)) == 47
    same = regions.group_regions(np.ones((6, 2)), np.ones(6, int), 1)
    assert same.labels.tolist() == [0] * 6
    fit = KMeans(5, n_init=1, random_state=0, max_iter=30).fit(points.reshape(47, 8), sample_weight=counts)
    assert adjusted_rand_score(fit.labels_, regions.group_regions(points, counts, 5).labels) == 1


@settings(deadline=None, max_examples=25)
@given(LABELS)
def test_agreement_is_the_adjusted_rand_index(pairs):
    labels, truth = np.array(pairs).T
    assert regions.partition_agreement(labels, truth) == adjusted_rand_score(truth, labels)
    assert regions.partition_agreement(truth, truth + 7) == 1


@settings(deadline=None, max_examples=25)
@given(LABELS)
def test_what_merging_can_attain(pairs):
    labels, truth = np.array(pairs).T
    attained = regions.attainable_agreement(labels, truth)
    refinement = all(len(set(truth[labels == region])) == 1 for region in set(labels.tolist()))
    assert (attained == 1) == refinement or len(np.unique(truth)) == 1
    majority = np.empty_like(truth)
    for region in set(labels.tolist()):
        values, counts = np.unique(truth[labels == region], return_counts=True)
        majority[labels == region] = values[counts.argmax()]
    assert attained == adjusted_rand_score(truth, majority)


def test_what_does_not_fit_is_refused():
    x, y, labels, omega, b = case()
    merge, gap = regions.merge_path, labels.copy()
    gap[gap == 2] = 1
    for call, sentence in (
        (lambda: merge(x, y, labels, omega, b, "parsimony"), "principle is 'parsimony'"),
        (lambda: merge(x, y, labels, omega, b, maps="mean"), "maps is 'mean'"),
        (lambda: merge(x, y, gap, omega, b), "region 2 has no samples"),
        (lambda: merge(x, y, labels, omega, b, components=0), "components is 0"),
        (lambda: merge(x[:-1], y, labels, omega, b), "do not fit inputs"),
        (lambda: merge(x, y[:, :1], labels, omega, b), "do not fit inputs"),
        (lambda: merge(x, y, labels, omega[1:], b), "do not fit inputs"),
        (lambda: merge(x, y, labels[:-1], omega, b), "labels are int64 of shape"),
        (lambda: merge(x, y, labels + 0.5, omega, b), "labels hold 0.5, and take whole numbers"),
        (lambda: merge(x, y, labels + 1, omega, b), "labels go from 1 to"),
        (lambda: merge(x * np.nan, y, labels, omega, b), "inputs hold NaN"),
        (lambda: merge(x, y * np.inf, labels, omega, b), "outputs hold NaN or infinite numbers"),
        (lambda: merge(x[:0], y[:0], labels[:0], omega, b), "at least one sample"),
        (lambda: regions.fidelity(x, y, labels, omega, b[:, :1]), "do not fit inputs"),
        (lambda: regions.group_regions(np.ones((4, 2)), np.ones(3), 2), "do not fit"),
        (lambda: regions.group_regions(np.ones((4, 2)), np.ones(4), 5), "groups is 5, and takes 1 to 4"),
        (lambda: regions.group_regions(np.ones((4, 2)), np.ones(4), 0), "groups is 0"),
        (lambda: regions.nearest_groups(np.ones((4, 2)), np.ones((3, 1))), "do not fit"),
        (lambda: regions.partition_agreement([0, 1], [0]), "take \\[n\\] twice"),
        (lambda: regions.attainable_agreement([], []), "take \\[n\\] twice"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()
