"""The forms z' L z of sparse Laplacians on the processor, in one compiled pass.

A tile of 16 rows of activations is turned over in the nearest cache, so that those of one node lie side by side: the
product then takes one vector instruction for each entry of the matrix. Numba makes scalar instructions of a loop over
16 numbers, so the two inner steps are written for its compiler, LLVM, with vectors of 16, which it fits to the
processor's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = 16

_WIDE = ir.IntType(64)

Array = npt.NDArray[Any]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def forms(
    starts: Array,
    columns: Array,
    entries: Array,
    rayleigh: bool,
    silent: float,
    weight: float,
    z: Array,
    values: Array,
    gradient: Array,
) -> None:
    """Set `values` [seeds] to `weight` times the means over the rows of z [seeds, rows, nodes] of z' L z, or of z' L z
    / (z' z + silent), and `gradient`, of z's shape, to their gradient.

    starts, columns, entries: L in CSR, symmetric, [nodes, nodes], or block-diagonal [seeds nodes, seeds nodes] with one
    block a seed. All arrays are contiguous; z, entries, values and gradient are of one type.
    """
    seeds, rows, nodes = z.shape
    factor = z.dtype.type(2 * weight / rows)
    turned, products = np.zeros((nodes, _LANES), z.dtype), np.empty((nodes, _LANES), z.dtype)
    for s in range(seeds):
        first = s * nodes if len(starts) > nodes + 1 else 0
        total = 0.0
        for top in range(0, rows, _LANES):
            tile, found = z[s, top : top + _LANES], gradient[s, top : top + _LANES]
            _turn(tile, turned)
            for i in range(nodes):
                start, stop = np.int64(starts[first + i]), np.int64(starts[first + i + 1])
                _sum_weighted(columns, entries, start, stop, turned, first, products, i)  # type: ignore[call-arg]
            _turn(products[:, : len(found)], found)
            for r in range(len(found)):
                x, product = tile[r], found[r]
                form, norm = z.dtype.type(0), z.dtype.type(silent)
                for i in range(nodes):
                    form += product[i] * x[i]
                if rayleigh:
                    for i in range(nodes):
                        norm += x[i] * x[i]
                    form /= norm
                    scale = factor / norm
                    for i in range(nodes):
                        product[i] = scale * (product[i] - form * x[i])
                else:
                    for i in range(nodes):
                        product[i] *= factor
                total += form
        values[s] = weight * total / rows


@njit(cache=True, nogil=True)
def _turn(source: Array, target: Array) -> None:
    """Write the transpose of source [rows, columns] to target [at least columns, at least rows]."""
    rows, columns = source.shape
    for r in range(0, rows, _LANES):
        for c in range(0, columns, _LANES):
            if r + _LANES <= rows and c + _LANES <= columns:
                block = source[r : r + _LANES, c : c + _LANES]
                _turn_block(block, target[c : c + _LANES, r : r + _LANES])  # type: ignore[call-arg]
            else:
                for i in range(r, min(r + _LANES, rows)):
                    for j in range(c, min(c + _LANES, columns)):
                        target[j, i] = source[i, j]


@intrinsic
def _turn_block(_: Any, source: Any, target: Any) -> Any:
    """Write the transpose of source [16, 16] to target [16, 16]; the rows of both are contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        x, y = (_Rows(context, builder, *one) for one in zip(signature.args, arguments, strict=True))
        rows = [x.load(_WIDE(row)) for row in range(_LANES)]
        step = 1
        while step < _LANES:
            # Rows that lie `step` apart exchange their off-diagonal blocks of this size.
            upper = [lane + _LANES - step if lane & step else lane for lane in range(_LANES)]
            lower = [lane + _LANES if lane & step else lane + step for lane in range(_LANES)]
            for row in range(_LANES):
                if not row & step:
                    pair = rows[row], rows[row + step]
                    rows[row], rows[row + step] = (_shuffle(builder, *pair, lanes) for lanes in (upper, lower))
            step *= 2
        for row, values in enumerate(rows):
            y.store(_WIDE(row), values)

    return types.void(source, target), generate


@intrinsic
def _sum_weighted(
    _: Any, columns: Any, entries: Any, start: Any, stop: Any, source: Any, first: Any, target: Any, row: Any
) -> Any:
    """Set target[row] to the sum of entries[k] source[columns[k] - first] over start <= k < stop.

    source, target: [nodes, 16], with contiguous rows.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        kinds = signature.args
        columns, entries = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(kinds[:2], arguments[:2], strict=True)
        )
        start, stop, first, row = (arguments[i] for i in (2, 3, 5, 7))
        source, target = (_Rows(context, builder, kinds[i], arguments[i]) for i in (4, 6))
        total = cgutils.alloca_once_value(builder, ir.Constant(target.vector, None))
        with cgutils.for_range_slice(builder, start, stop, start.type(1)) as (k, _):
            entry = builder.load(builder.gep(entries, [k]))
            one = builder.insert_element(ir.Constant(target.vector, ir.Undefined), entry, ir.IntType(32)(0))
            column = builder.sext(builder.load(builder.gep(columns, [k])), _WIDE)
            term = builder.fmul(
                _shuffle(builder, one, one, [0] * _LANES), source.load(builder.sub(column, first)), flags=["contract"]
            )
            builder.store(builder.fadd(builder.load(total), term, flags=["contract"]), total)
        target.store(row, builder.load(total))

    return types.void(columns, entries, start, stop, source, first, target, row), generate


class _Rows:
    """The rows of an array [rows, 16], each of which is contiguous, as vectors."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any):
        array = context.make_array(kind)(context, builder, value)
        self.builder, self.data = builder, builder.bitcast(array.data, ir.IntType(8).as_pointer())
        self.stride = cgutils.unpack_tuple(builder, array.strides)[0]
        self.vector = ir.VectorType(context.get_value_type(kind.dtype), _LANES)
        self.alignment = kind.dtype.bitwidth // 8

    def load(self, row: Any) -> Any:
        return self.builder.load(self._at(row), align=self.alignment)

    def store(self, row: Any, values: Any) -> None:
        self.builder.store(values, self._at(row), align=self.alignment)

    def _at(self, row: Any) -> Any:
        place = self.builder.gep(self.data, [self.builder.mul(row, self.stride)])
        return self.builder.bitcast(place, self.vector.as_pointer())


def _shuffle(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """The vector of these lanes of two: those of the second count from 16."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), _LANES), lanes))
