"""Activation patterns against the pre-activations themselves, and regions against torch.unique."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from networks import NAMED, Functional, drawn_networks, inputs, perceptron, randomised
from torch import nn

from interneuron import regions
from interneuron.errors import InputError
from interneuron.regions import patterns
from interneuron.regions.piecewise import piecewise_affine

BYTES = st.tuples(st.integers(1, 60), st.integers(1, 19)).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 128]))
)


def seen(network, x, kind):
    """Inputs of every module of a kind, in the order of their runs."""
    found = []
    modules = [module for module in network.modules() if isinstance(module, kind)]
    handles = [module.register_forward_pre_hook(lambda _, args: found.append(args[0].clone())) for module in modules]
    with torch.no_grad():
        network(x.clone())
    for handle in handles:
        handle.remove()
    return found


def packed(*bits):
    return np.packbits(np.concatenate([np.asarray(part).reshape(len(part), -1) for part in bits], 1), 1, "little")


@pytest.mark.parametrize("sizes", [(5, 7, 1), (4, 9, 3, 2), (3, 16, 16, 5, 1)])
def test_bits_say_which_relus_are_active_in_order(sizes):
    network, x = perceptron(*sizes), inputs(40, sizes[:1])
    found = regions.activation_patterns(network, x)
    bits = [z.numpy() > 0 for z in seen(network, x, nn.ReLU)]
    assert found.dtype == np.uint8
    assert found.shape == (40, -(-sum(sizes[1:-1]) // 8))
    assert np.array_equal(found, packed(*bits))
    assert np.array_equal(regions.unpack_patterns(found, sum(sizes[1:-1])), np.hstack(bits))
    for batch in (1, 7, 100):
        assert np.array_equal(found, regions.activation_patterns(network, x, batch))


def test_a_unit_at_zero_is_not_active():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    network[0].weight.data = torch.eye(2)
    x = torch.tensor([[0.0, -0.0], [0.0, 1e-30], [-1.0, 2.0], [3.0, 4.0]])
    assert regions.activation_patterns(network, x).tolist() == [[0], [2], [2], [3]]


def test_clipping_units_have_two_bits():
    x = torch.tensor([[-2.0], [-1.0], [-0.9], [0.5], [1.0], [7.0]])
    assert regions.activation_patterns(nn.Hardtanh(), x).ravel().tolist() == [0, 0, 1, 1, 2, 2]
    assert regions.activation_patterns(nn.ReLU6(), x).ravel().tolist() == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 1, 1),
        nn.MaxPool2d((2, 3), (1, 2), (1, 0), ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool1d(3, 2, 1),
        nn.MaxPool1d(2, 1, dilation=3),
    ],
)
def test_pooling_says_which_of_its_window_is_largest(pool):
    shape = (2, 5, 6) if isinstance(pool, nn.MaxPool2d) else (2, 8)
    x = inputs(9, shape, dtype=torch.float64)
    (site,) = regions.sites(pool, x)
    bits = regions.unpack_patterns(regions.activation_patterns(pool, x), site.units * site.bits)
    place = (bits.reshape(9, site.units, site.bits) << np.arange(site.bits)).sum(2)
    y = pool(x).flatten(1).numpy()

    def pair(value):
        return value if isinstance(value, tuple) else (value,) * (len(shape) - 1)

    kernel, stride, padding, dilation = map(pair, (pool.kernel_size, pool.stride, pool.padding, pool.dilation))
    corners = np.ndindex(*pool(x).shape[1:])
    for unit, (channel, *corner) in enumerate(corners):
        for n in range(9):
            steps = np.unravel_index(place[n, unit], kernel)
            at = [c * s - p + k * d for c, s, p, k, d in zip(corner, stride, padding, steps, dilation, strict=True)]
            assert x[(n, channel, *at)].item() == y[n, unit]


def test_sites_of_all_kinds_follow_each_other():
    network, x = randomised(NAMED["convolutional"][0](), 2), inputs(12, (2, 6, 6))
    (relu,), (pool,) = seen(network, x, nn.ReLU), seen(network, x, nn.MaxPool2d)
    (prelu,), (hardtanh, relu6) = seen(network, x, nn.PReLU), seen(network, x, nn.Hardtanh | nn.ReLU6)
    units = [site.units * site.bits for site in regions.sites(network, x)]
    bits = regions.unpack_patterns(regions.activation_patterns(network, x), sum(units))
    parts = np.split(bits, np.cumsum(units)[:-1], axis=1)
    assert np.array_equal(parts[0], (relu > 0).flatten(1))
    assert np.array_equal(parts[2], (prelu > 0).flatten(1))
    for part, z, low, high in ((parts[3], hardtanh, -0.5, 0.5), (parts[4], relu6, 0, 6)):
        between, above = ((z > low) & (z < high)).flatten(1), (z >= high).flatten(1)
        assert np.array_equal(part, torch.stack([between, above], 2).flatten(1))
    assert pool.shape == relu.shape
    assert parts[1].shape == (12, 36 * 4)


@settings(max_examples=15, deadline=None)
@given(drawn_networks(dtypes=(torch.float64,)))
def test_samples_of_one_pattern_have_one_map(case):
    network, x = case
    if not sum(site.units * site.bits for site in regions.sites(network, x)):
        return
    x = x[torch.arange(len(x)).repeat(2)] * torch.tensor([1.0, 1 + 1e-9]).repeat_interleave(len(x)).view(
        -1, *[1] * (x.ndim - 1)
    )
    found = regions.unique_patterns(regions.activation_patterns(network, x))
    omega, b = regions.affine_maps(network, x)
    of = torch.from_numpy(found.first[found.labels])
    torch.testing.assert_close(omega, omega[of], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(b, b[of], rtol=1e-9, atol=1e-12)


def test_a_module_that_is_used_twice_has_two_sites():
    network, x = randomised(Functional(), 4), inputs(30, (6,))
    first, second = seen(network, x, nn.ReLU)
    bits = regions.unpack_patterns(regions.activation_patterns(network, x), 48)
    assert np.array_equal(bits[:, :8], first > 0)
    assert np.array_equal(bits[:, 16:24], second > 0)


def assert_regions(found, rows):
    """What `Regions` says of itself, and the partition against torch.unique."""
    expected, labels, counts = torch.unique(
        torch.from_numpy(rows.copy()), dim=0, return_inverse=True, return_counts=True
    )
    assert found.count == len(expected)
    assert np.array_equal(found.patterns[found.labels], rows)
    assert np.array_equal(np.bincount(found.labels, minlength=found.count), found.counts)
    # Labels that pair off one to one make the same partition.
    assert len(set(zip(found.labels.tolist(), labels.tolist(), strict=True))) == found.count
    assert sorted(counts.tolist(), reverse=True) == found.counts.tolist()
    assert [int(np.flatnonzero(found.labels == region)[0]) for region in range(found.count)] == found.first.tolist()
    order = list(zip(-found.counts, found.first, strict=True))
    assert order == sorted(order)
    assert found.labels.dtype == found.counts.dtype == found.first.dtype == np.int64


@settings(max_examples=40, deadline=None)
@given(BYTES)
def test_unique_patterns_are_those_of_torch(rows):
    found = regions.unique_patterns(rows)
    assert_regions(found, rows)
    assert found.collisions == 0
    assert len(np.unique(found.hashes)) == found.count


@settings(max_examples=40, deadline=None)
@given(BYTES, st.integers(1, 4))
def test_colliding_hashes_merge_no_regions(rows, different):
    words = patterns._words(rows)
    found = patterns._regions(rows, words, words[:, 0] % np.uint64(different))
    assert_regions(found, rows)
    names = found.hashes.tolist()
    assert found.collisions == sum(names.count(name) > 1 for name in names)


def test_many_patterns_of_many_bytes():
    stream = np.random.default_rng(0)
    rows = stream.integers(0, 256, (3000, 48), np.uint8)[stream.integers(0, 3000, 20_000)]
    assert_regions(regions.unique_patterns(rows), rows)
    assert_regions(regions.unique_patterns(rows[:, 1::2]), np.ascontiguousarray(rows[:, 1::2]))


def test_a_hash_is_a_name_that_does_not_depend_on_the_other_samples():
    rows = np.random.default_rng(1).integers(0, 256, (50, 11), np.uint8)
    whole = regions.unique_patterns(rows)
    for i in (0, 17, 49):
        alone = regions.unique_patterns(rows[i : i + 1])
        assert alone.hashes[0] == whole.hashes[whole.labels[i]]
        assert (alone.count, alone.collisions, alone.counts.tolist()) == (1, 0, [1])
    # One bit of difference changes about half of the hash.
    flips = rows[:1] ^ np.packbits(np.eye(88, dtype=bool), axis=1)
    changed = patterns._hashes(patterns._words(flips)) ^ whole.hashes[whole.labels[0]]
    bits = np.unpackbits(changed.view(np.uint8).reshape(-1, 8), axis=1)
    assert 28 < bits.sum(1).mean() < 36


def test_regions_of_the_boolean_network_are_those_of_its_patterns():
    network = perceptron(10, 4, 2, 1)
    x = (inputs(2000, (10,)) > 0).float()
    rows = regions.activation_patterns(network, x)
    assert rows.shape == (2000, 1)
    assert_regions(regions.unique_patterns(rows), rows)
    program, values = piecewise_affine(network, x, False)
    _, codes = program.run(values)
    assert np.array_equal(program.bits(codes).numpy(), regions.unpack_patterns(rows, 6))


def test_bad_patterns_are_refused():
    for rows in (np.zeros((3, 4)), np.zeros(3, np.uint8), np.zeros((3, 4), bool), [[1, 2]]):
        with pytest.raises(InputError, match=r"patterns are .*, and take packed bits, uint8 \[n, bytes\]"):
            regions.unique_patterns(rows)
    for shape in ((0, 4), (3, 0)):
        with pytest.raises(InputError, match="at least one sample and one byte"):
            regions.unique_patterns(np.zeros(shape, np.uint8))
    for bits in (-1, 33):
        with pytest.raises(InputError, match=f"{bits} bits asked for, of patterns with 32"):
            regions.unpack_patterns(np.zeros((3, 4), np.uint8), bits)
    assert regions.unpack_patterns(np.zeros((3, 4), np.uint8), 0).shape == (3, 0)
    with pytest.raises(InputError, match="no branching units, so it is one region"):
        regions.activation_patterns(nn.Linear(4, 2), inputs(3, (4,)))
    with pytest.raises(InputError, match="batch is 0"):
        regions.activation_patterns(perceptron(4, 3, 2), inputs(3, (4,)), batch=0)
