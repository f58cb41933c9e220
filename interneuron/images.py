"""Comparing images."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError


def ssim(reference: ArrayLike, image: ArrayLike) -> NDArray[np.floating]:
    """Structural similarity of images in [0, 1], averaged over each image.

    `S = (2 m_x m_y + C1) (2 v_xy + C2) / ((m_x^2 + m_y^2 + C1) (v_x + v_y + C2))`, C1 = 0.01^2, C2 = 0.03^2, from the
    means m and the sample (co)variances v in every 7 x 7 window that lies within the image (Wang et al. 2004, eq. 13,
    with uniform windows, as `skimage.metrics.structural_similarity` does by default). Images with a side below 7 have
    the largest odd window that fits.

    Shapes: reference [..., h, w] and image [..., h, w] broadcast over the leading axes; the result has these axes.
    Raises InputError if the images differ in size or have no pixels, for NaN, and for whole numbers above 1 (bytes).
    """
    x, y = (checks.numbers("images", a) for a in (reference, image))
    if x.ndim < 2 or y.ndim < 2 or x.shape[-2:] != y.shape[-2:] or 0 in x.shape[-2:]:
        raise InputError(f"ssim: images of shapes {x.shape} and {y.shape}; both must end in the same height and width")
    for values in (x, y):
        if values.max(initial=0) > 1 and np.array_equal(values, np.rint(values)):
            raise InputError(f"ssim: images are whole numbers up to {values.max():g}, and take [0, 1]: bytes over 255")
    kind = np.float32 if x.dtype == y.dtype == np.float32 else np.float64
    x, y = x.astype(kind, copy=False), y.astype(kind, copy=False)
    one = max(x.ndim, y.ndim) == 2
    side = min(7, *x.shape[-2:])
    side -= 1 - side % 2
    x, y = (a if a.ndim > 2 else a[None] for a in (x, y))
    try:
        shape = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise InputError(f"ssim: leading axes {x.shape[:-2]} and {y.shape[:-2]} do not broadcast") from None
    result = np.empty(shape, kind)
    for start in range(0, shape[-1], 32):  # pieces that stay in the cache
        piece = np.s_[..., start : start + 32, :, :]
        result[..., start : start + 32] = _ssim(
            x[piece] if x.shape[-3] > 1 else x, y[piece] if y.shape[-3] > 1 else y, side
        )
    return result[0] if one else result


def _ssim(x: NDArray[np.floating], y: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    n = side * side
    scale = x.dtype.type(n / (n - 1)) if n > 1 else x.dtype.type(1)
    mx, my = _window_means(x, side), _window_means(y, side)
    mxx, myy, mxy = mx * mx, my * my, mx * my
    variance = scale * ((_window_means(x * x, side) - mxx) + (_window_means(y * y, side) - myy))
    covariance = scale * (_window_means(x * y, side) - mxy)
    c1, c2 = x.dtype.type(0.01**2), x.dtype.type(0.03**2)
    maps = (2 * mxy + c1) * (2 * covariance + c2) / ((mxx + myy + c1) * (variance + c2))
    return maps.mean((-2, -1))


def _window_means(x: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Mean of every side x side window that lies within the image: [..., h, w] -> [..., h-side+1, w-side+1]."""
    h, w = x.shape[-2] - side + 1, x.shape[-1] - side + 1
    rows = x[..., :h, :].copy()
    for k in range(1, side):
        rows += x[..., k : k + h, :]
    both = rows[..., :w].copy()
    for k in range(1, side):
        both += rows[..., k : k + w]
    both /= side * side
    return both
