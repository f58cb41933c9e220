"""Simulated data whose structure is known: binary modules, and clusters within clusters.

Source: Tong et al. (arXiv:1810.00424) and the generators of its released code (`common/dataset.py`).
"""

import numpy as np
import numpy.typing as npt

from interneuron.errors import InputError
from interneuron.seeds import generator

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


def binary_modules(
    modules: int,
    seed: int,
    *,
    bits: int | None = None,
    repeats: int = 50,
    samples: int = 1000,
    noise: float = 0.1,
    scale: float = 10.0,
) -> tuple[Float32, Int64]:
    """All 2^modules binary codes, each bit shown by `repeats` features: x float32 [2^modules samples, bits repeats] and
    the code of every sample, int64 [2^modules samples], codes in order, `samples` of each.

        x = scale (bit of the code + N(0, noise^2)),    bit b in features b repeats to (b + 1) repeats - 1, lowest first

    bits: how many bits the features show, `modules` if None; the released code always shows 8, the further ones 0.
    Independent modules are the features of one bit. Source: Tong et al., n-module data; code, `Hub_Dataset` (whose
    defaults these are). Raises InputError for numbers out of range and for more than 2^31 values.
    """
    shown = modules if bits is None else bits
    for name, number, least in (("modules", modules, 1), ("repeats", repeats, 1), ("samples", samples, 1)):
        _take("binary_modules", name, number, least)
    _take("binary_modules", "bits", shown, modules)
    _positive("binary_modules", noise=noise, scale=scale)
    count = 2**modules * samples
    if count * shown * repeats > 2**31:
        raise InputError(f"binary_modules: {count:,} x {shown * repeats:,} values are asked for, it makes up to 2^31")
    codes = np.repeat(np.arange(2**modules), samples)
    x = generator(seed, "binary modules").standard_normal((count, shown, repeats), np.float32)
    x *= noise
    x += (codes[:, None] >> np.arange(shown) & 1)[:, :, None]
    x *= scale
    return x.reshape(count, -1), codes.astype(np.int64)


def nested_clusters(
    samples: int,
    seed: int,
    *,
    groups: int = 3,
    features: int = 5,
    correlation: float = 0.6,
    jump: float = 10.0,
) -> tuple[Float32, Int64]:
    """`groups` clusters of two sub-clusters each: x float32 [samples, groups features], and the sub-cluster y of each
    sample, int64 [samples].

    y is uniform in 0 to 2 groups - 1 and the cluster is y // 2. Noise is normal with variance 1 and
    covariance `correlation` between the features of one group; the `features` features of group y // 2 are `jump`
    higher, and for odd y that group's last feature is another `jump` higher. Source: Tong et al., clusters in clusters;
    code, `Hub_Spoke` (60,000 samples; the other defaults are its own). Raises InputError for numbers out of range.
    """
    for name, number, least in (("samples", samples, 1), ("groups", groups, 1), ("features", features, 1)):
        _take("nested_clusters", name, number, least)
    _positive("nested_clusters", jump=jump)
    if not 0 <= correlation < 1:
        raise InputError(f"nested_clusters: correlation is {correlation}, it takes 0 or more and less than 1")
    stream = generator(seed, "nested clusters")
    y = stream.integers(2 * groups, size=samples)
    # Noise that a group shares and noise of each feature: variances add up to 1, the shared one is the covariance.
    shared = stream.standard_normal((samples, groups, 1), np.float32)
    x = stream.standard_normal((samples, groups, features), np.float32)
    x *= np.sqrt(1 - correlation)
    x += np.sqrt(np.float32(correlation)) * shared
    rows = np.arange(samples)
    x[rows, y // 2] += jump
    x[rows, y // 2, -1] += jump * (y % 2)
    return x.reshape(samples, groups * features), y


def _take(where: str, name: str, number: int, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise InputError(f"{where}: {name} is {number!r}, it takes a whole number of {least} or more")


def _positive(where: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < np.inf:
            raise InputError(f"{where}: {name} is {number!r}, it takes a positive number")
