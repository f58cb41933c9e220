"""How far samples are from the border of their region, unit by unit."""

from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from interneuron.errors import InputError
from interneuron.regions.patterns import block_size
from interneuron.regions.piecewise import Branching, Linear, PiecewiseAffine, piecewise_affine

# Numbers of the widest layer under all directions at once: 32 MiB in float32.
_BLOCK = 2**23


class Borders(NamedTuple):
    """Distances of n samples: `distances` [n, units]; the least of them, `nearest` [n], and its unit, `unit` [n] int64.

    Units are counted over all `sites`, in their order. The region is the polytope within the planes of all units, so
    `nearest` is the distance to its border.
    """

    distances: Tensor
    nearest: Tensor
    unit: Tensor


def border_distances(
    network: nn.Module, x: ArrayLike | Tensor, batch: int | None = None, logits: bool = False
) -> Borders:
    """Distance in input space from each sample to the plane on which each unit changes its branch.

        distance = |z(u)| / ||grad z||_2

    with z the unit's pre-activation and its exact gradient on u's region; infinite where the gradient is 0 (no change
    of this unit's sign while the rest stays as it is). Hardtanh and ReLU6 have a plane at each end, maximum pooling one
    for each other member of the window, with z the difference: the nearest counts. Distances are Euclidean, in units of
    the inputs; a plane's nearest point may lie outside of the region.

    x: [n, ...]; batch: samples that run together, each under all d directions of the input. Raises InputError as the
    package says, and for a network without branching units.
    """
    program, values = piecewise_affine(network, x, logits)
    if not program.sites:
        raise InputError("the network has no branching units, so its one region has no border")
    widest = max(site.units for site in program.sites)
    size = block_size(batch, max(1, min(len(values), _BLOCK // (widest * program.inputs))))
    distances = values.new_empty((len(values), program.units()))
    with torch.no_grad():
        for start in range(0, len(values), size):
            part = slice(start, start + size)
            run = _by_tangents if program.chain is None else _by_products
            distances[part] = run(program, values[part])
    nearest, unit = distances.min(1)
    return Borders(distances, nearest, unit)


def _by_products(program: PiecewiseAffine, x: Tensor) -> Tensor:
    """A chain: the derivatives of all units along all directions, from one layer to the next."""
    assert program.chain is not None
    h, tangents = x.flatten(1), torch.eye(program.inputs, dtype=x.dtype, device=x.device)[None]
    found = []
    for step in program.chain:
        if isinstance(step, Linear):
            h, tangents = functional.linear(h, step.weight, step.bias), tangents @ step.weight.T
        else:
            code = step.code(h)
            margins, slopes = step.margins(code, h, tangents)
            found.append(_distance(margins, slopes.square().sum(1)))
            h, tangents = step.apply(code, h), tangents * step.slope(code, x.dtype)[:, None]
    return torch.cat(found, dim=1)


def _by_tangents(program: PiecewiseAffine, x: Tensor) -> Tensor:
    """Any network: forward derivatives along a few directions at a time, whose squares add up."""
    n, d = len(x), program.inputs
    squares: dict[int, Tensor] = {}
    margins: dict[int, Tensor] = {}
    widest = max(site.units for site in program.sites)
    together = max(1, min(d, _BLOCK // (widest * n)))
    for start in range(0, d, together):
        directions = torch.eye(d, dtype=x.dtype, device=x.device)[start : start + together]
        m = len(directions)

        def watch(site: int, kind: Branching, code: Tensor, z: Tensor, m: int = m) -> None:
            value, tangent = forward_ad.unpack_dual(z)
            shape = (n, m, *value.shape[1:])
            tangents = torch.zeros(shape, dtype=x.dtype, device=x.device) if tangent is None else tangent.view(shape)
            # What the network runs next may write over z.
            margins[site], slopes = kind.margins(code[::m], value[::m].clone(), tangents)
            squares[site] = squares.get(site, 0) + slopes.square().sum(1)

        with forward_ad.dual_level():
            tangents = directions.view(1, m, *x.shape[1:]).expand(n, *[-1] * x.ndim).flatten(0, 1)
            program.watched(forward_ad.make_dual(x.repeat_interleave(m, 0), tangents.contiguous()), watch)
    return torch.cat([_distance(margins[site], squares[site]) for site in range(len(program.sites))], dim=1)


def _distance(margins: Tensor, squares: Tensor) -> Tensor:
    """Distances [n, units] from margins and squared norms of their gradients, both [n, units, borders]."""
    distance = margins.abs() / squares.expand_as(margins).sqrt()
    return torch.where(squares > 0, distance, torch.inf).amin(2)
