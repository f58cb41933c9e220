#!/usr/bin/env bash
# torch 2.13.0: batch normalisation updates its running statistics without counting up their version.
#
# A tensor's `_version` counts the operations that wrote into it, and tools take an unchanged one for an unchanged
# tensor. `batch_norm` in training writes `running_mean` and `running_var`, and leaves both versions as they were; an
# ordinary operation in place (here `mul_`) counts. Whether a forward pass wrote into a network's buffers shows by
# their values only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.1 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn import functional

mean, variance = torch.zeros(3), torch.ones(3)
before = mean.clone(), mean._version, variance._version
functional.batch_norm(torch.randn(8, 3), mean, variance, training=True)
print(f"mean changed: {not torch.equal(mean, before[0])}; versions {before[1:]} -> {(mean._version, variance._version)}")
assert not torch.equal(mean, before[0])
assert (mean._version, variance._version) == before[1:], "the versions count now"
mean.mul_(2)
print("after mul_:", mean._version)
assert mean._version == before[1] + 1
PYTHON
# Output seen:
# mean changed: True; versions (0, 0) -> (0, 0)
# after mul_: 1
