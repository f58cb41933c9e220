"""Graph filters against the eigendecomposition written out."""

import numpy as np
import pytest
import torch
from scipy import sparse

from interneuron import lattices
from interneuron.errors import InputError
from interneuron.wavelets import KERNELS, SoftmaxEmbedding, filters, response

GRAPHS = [
    lattices.rings(1, 20),
    lattices.grid(4, 5),
    lattices.star(7),
    sparse.csr_array(sparse.block_diag([lattices.paths(1, 1), 0.3 * lattices.complete(3), lattices.paths(2, 4)])),
]


def spectrum(graph):
    return np.linalg.eigh(lattices.laplacian(graph, "symmetric").toarray())


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_heat_filter_is_the_exponential_of_the_laplacian(graph):
    eigenvalues, vectors = spectrum(graph)
    found = filters(graph, "heat", 3)
    for s, mine in enumerate(found):
        np.testing.assert_allclose(mine, vectors * np.exp(-(2**s) * eigenvalues) @ vectors.T, atol=1e-10)


@pytest.mark.parametrize("graph", GRAPHS)
def test_mexican_hats_are_the_formula(graph):
    eigenvalues, vectors = spectrum(graph)
    top = eigenvalues[-1]
    scales = np.geomspace(2 / (top / 20), 1 / top, 3)
    kernels = [1.2 * np.exp(-1 - (eigenvalues / (0.4 * top / 20)) ** 4)]
    kernels += [scale * eigenvalues * np.exp(-scale * eigenvalues) for scale in scales]
    for mine, kernel in zip(filters(graph, "mexican-hat", 4), kernels, strict=True):
        np.testing.assert_allclose(mine, vectors * kernel @ vectors.T, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_filters_commute_with_the_laplacian_and_wavelets_have_no_mean(kernel):
    graph = lattices.torus(4, 5)
    laplacian = lattices.laplacian(graph, "symmetric").toarray()
    bank = filters(graph, kernel, 4)
    assert bank.shape == (4, 20, 20)
    for k in bank:
        np.testing.assert_allclose(k, k.T, atol=1e-10)
        np.testing.assert_allclose(k @ laplacian, laplacian @ k, atol=1e-10)
    sums = abs(bank.sum(-1)).max(-1)
    assert sums[0] > 0.4
    if kernel != "heat":
        np.testing.assert_allclose(sums[1:], 0, atol=1e-10)


def test_wavelets_are_localised():
    """The finest one at a node has its weight near it."""
    bank = filters(lattices.rings(1, 40), "mexican-hat", 4)
    weight = bank[-1] ** 2
    distance = np.minimum(np.arange(40), 40 - np.arange(40))
    assert weight[0][distance <= 2].sum() > 0.9 * weight[0].sum()
    assert (weight.argmax(-1) == np.arange(40)).all()


def test_response_is_the_sum_of_absolute_values():
    rng = np.random.default_rng(0)
    bank, z = rng.normal(size=(3, 6, 6)), rng.normal(size=(2, 5, 6))
    expected = [np.mean([sum(abs(k @ row).sum() for k in bank) for row in block]) for block in z]
    found = response(torch.from_numpy(z), torch.from_numpy(bank))
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(
        response(torch.from_numpy(z), torch.from_numpy(bank[0])).sum(), abs(z @ bank[0].T).sum() / 5
    )


def test_the_softmax_embedding_mixes_atoms():
    atoms = filters(lattices.rings(1, 12), "heat", 1)[0].T[:, ::2]
    layer = SoftmaxEmbedding(atoms)
    s = torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    z = layer(s)
    loadings = torch.softmax(s @ torch.from_numpy(np.linalg.pinv(atoms)).float().T, -1)
    torch.testing.assert_close(z, torch.einsum("na,sba->sbn", torch.from_numpy(atoms).float(), loadings))
    assert not list(layer.parameters())
    assert torch.autograd.grad(z.square().sum(), s)[0].abs().max() > 0
    most = layer(1e4 * torch.from_numpy(atoms[:, 2]).float())
    torch.testing.assert_close(most, torch.from_numpy(atoms[:, 2]).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: filters(GRAPHS[0], "haar"), "no kernel 'haar' of graph filters; there are heat, mexican-hat"),
        (lambda: filters(GRAPHS[0], "meyer", 1), "scales is 1, and the kernel meyer takes 2 or more"),
        (lambda: filters(GRAPHS[0], "heat", 0), "the kernel heat takes 1 or more"),
        (lambda: filters(np.zeros((3, 3)), "heat"), "has no edges"),
        (lambda: filters(np.ones((3, 3)), "heat"), "joins node 0 to itself"),
        (lambda: response(torch.zeros(2, 3), torch.zeros(2, 2)), r"\[2, 3\] and filters \[2, 2\] do not fit"),
        (lambda: SoftmaxEmbedding(np.zeros(3)), r"atoms have the shape \[3\]"),
        (lambda: SoftmaxEmbedding([[np.nan]]), "atoms hold NaN or infinite numbers"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
