#!/usr/bin/env bash
# SciPy 1.17.1: the `dtype` of a sparse array's `sum` along an axis is not that of the additions.
#
# The documentation calls it the type "of the returned array and of the accumulator". A float32 CSR array summed along
# its rows with dtype=float64 gives float64 numbers with float32's errors; NumPy's dense sum of the same numbers with
# the same dtype adds up in float64. Degrees of a weighted graph, and what is divided by them, are that much off.
# Convert first: `array.astype(numpy.float64).sum(axis=1)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.1 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from scipy import sparse

row = np.random.default_rng(0).random((1, 100_000)).astype(np.float32)
exact = row.astype(np.float64).sum()
dense = row.sum(axis=1, dtype=np.float64)[0]
given = sparse.csr_array(row).sum(axis=1, dtype=np.float64)
converted = sparse.csr_array(row).astype(np.float64).sum(axis=1)[0]
print(f"exact {exact:.9f}, dense {dense:.9f}, sparse {given[0]:.9f} ({given.dtype}), converted first {converted:.9f}")
assert given.dtype == np.float64
assert abs(dense - exact) < 1e-8 and abs(converted - exact) < 1e-8
assert abs(given[0] - exact) > 1e-5, "the sum has float64's digits now"
PYTHON
# Output seen:
# exact 49957.426778802, dense 49957.426778802, sparse 49957.425781250 (float64), converted first 49957.426778802
