"""Structural similarity against scikit-image's."""

import numpy as np
import pytest

from interneuron import images
from interneuron.errors import InputError


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (6, 9), (3, 3)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_ssim_is_that_of_scikit_image(shape, kind):
    from skimage.metrics import structural_similarity

    random = np.random.default_rng(0)
    x = random.random((35, *shape)).astype(kind)
    y = np.clip(x + random.normal(0, 0.3, (2, *x.shape)), 0, 1).astype(kind)
    got = images.ssim(x, y)
    window = min(7, *shape) - (1 - min(7, *shape) % 2)
    oracle = [
        [structural_similarity(a, b, data_range=1, win_size=window) for a, b in zip(x, z, strict=True)] for z in y
    ]
    assert got.shape == (2, 35)
    assert got.dtype == kind
    np.testing.assert_allclose(got, oracle, atol=1e-5 if kind == np.float32 else 1e-12)
    np.testing.assert_allclose(images.ssim(x[0], y[0, 0]), oracle[0][0], atol=1e-5)


def test_ssim_is_symmetric_and_one_for_the_same_image():
    x, y = np.random.default_rng(1).random((2, 5, 9, 9))
    np.testing.assert_allclose(images.ssim(x, x), 1)
    np.testing.assert_allclose(images.ssim(x, y), images.ssim(y, x))
    assert (images.ssim(x, y) < 0.9).all()


@pytest.mark.parametrize(
    "shapes", [((4, 8, 8), (4, 8, 7)), ((3, 8, 8), (4, 8, 8)), ((8,), (8,)), ((2, 0, 3), (2, 0, 3))]
)
def test_ssim_refuses_images_that_do_not_fit(shapes):
    with pytest.raises(InputError, match="ssim"):
        images.ssim(np.zeros(shapes[0]), np.zeros(shapes[1]))
