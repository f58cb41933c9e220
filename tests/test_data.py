"""Readers against independent readers, broken files against their sentences, and the prepared file."""

import gzip
import importlib.util
import logging
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interneuron import data, io
from interneuron.errors import InputError
from interneuron.seeds import generator

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 5, 4), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 3


def idx(array, magic=None):
    """Bytes of an idx file of unsigned bytes."""
    return struct.pack(f">{1 + array.ndim}I", magic or 0x0800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["plain", "gzipped"])
def write(request, tmp_path):
    """write(name, content) -> path, plain or gzipped; the name does not say which."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if request.param == "gzipped" else content)
        return path

    return write


def digits_csv(rows):
    return gzip.compress("".join(",".join(map(str, row)) + "\n" for row in rows).encode())


def test_idx_files_come_back(write):
    images, labels = write("images", idx(IMAGES)), write("labels", idx(LABELS))
    x, y = data.read_idx_images(images), data.read_idx_labels(str(labels))
    assert (x.dtype, y.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(x, IMAGES)
    np.testing.assert_array_equal(y, LABELS)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*[st.integers(1, 6)] * 3), st.integers(0, 99))
def test_every_shape_comes_back(tmp_path, shape, seed):
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "images").write_bytes(idx(images))
    np.testing.assert_array_equal(data.read_idx_images(tmp_path / "images"), images)


def test_idx_as_torchvision_reads_it(tmp_path):
    from interneuron._torchvision import import_torchvision

    read = import_torchvision().datasets.mnist.read_sn3_pascalvincent_tensor
    for name, array, ours in (("images", IMAGES, data.read_idx_images), ("labels", LABELS, data.read_idx_labels)):
        path = tmp_path / name
        path.write_bytes(idx(array))
        np.testing.assert_array_equal(read(str(path)).numpy(), ours(path))


def test_torchvision_works_beside_this_torch():
    code = (
        "from interneuron._torchvision import import_torchvision as load\n"
        "v = load(); assert v is load(); import torch, torchvision; assert torchvision is v\n"
        "print(v.transforms.functional.hflip(torch.tensor([[1, 2]])).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[[2, 1]]\n"


def test_torchvision_that_fails_otherwise_says_so(monkeypatch):
    import builtins

    from interneuron._torchvision import import_torchvision

    real = builtins.__import__

    def broken(name, *arguments, **more):
        if name == "torchvision":
            raise RuntimeError("something else")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()


def test_idx_that_is_none(write, tmp_path):
    whole = idx(IMAGES)
    for content, says in (
        (b"", "ends after 0 bytes, within the header"),
        (whole[:15], "ends after 15 bytes, within the header"),
        (idx(LABELS), "magic number is 0x00000801, it takes 0x00000803"),
        (idx(IMAGES, magic=0x0D03), "magic number is 0x00000d03"),
        (whole[:-1], r"12 x 5 x 4 = 240 bytes, but 239 follow"),
        (whole + b"x", "240 bytes, but more follow"),
        (idx(IMAGES[:0]), "at least one"),
        (struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"abc", "follow|cannot be read"),
    ):
        with pytest.raises(InputError, match=says):
            data.read_idx_images(write("images", content))
    with pytest.raises(InputError, match="magic number is 0x00000803, it takes 0x00000801"):
        data.read_idx_labels(write("labels", whole))
    with pytest.raises(InputError, match="there is no file"):
        data.read_idx_labels(tmp_path / "absent")


def test_gzip_that_broke_off_or_changed(tmp_path):
    whole = gzip.compress(idx(IMAGES))
    changed = bytearray(whole)
    changed[-6] ^= 1
    for content in (whole[:-20], whole[: len(whole) // 2], bytes(changed), whole[:3]):
        (tmp_path / "images").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read to its end"):
            data.read_idx_images(tmp_path / "images")


def test_classes_are_checked():
    y = np.array([0, 1, 2])
    data.check_classes(IMAGES[:3], y, 3, "here")
    with pytest.raises(InputError, match="here has 12 images and 3 labels"):
        data.check_classes(IMAGES, y, 3, "here")
    with pytest.raises(InputError, match="here has the label 2 at row 2; it takes 0 to 1"):
        data.check_classes(IMAGES[:3], y, 2, "here")
    with pytest.raises(InputError, match="label -1 at row 1"):
        data.check_classes(IMAGES[:3], np.array([0, -1, 5]), 3, "here")


def installed_digits():
    package = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0])
    return package / "datasets/data/digits.csv.gz"


def test_digits_as_scikit_learn_reads_them():
    from sklearn.datasets import load_digits

    x, y = data.read_digits(installed_digits())
    expected = load_digits()
    assert (x.dtype, y.dtype, x.shape, y.shape) == (np.uint8, np.int64, (1797, 8, 8), (1797,))
    np.testing.assert_array_equal(x, expected.images)
    np.testing.assert_array_equal(y, expected.target)


def test_digits_that_are_none(tmp_path):
    good = [0] * 64 + [9]
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(digits_csv([good, good]))
    assert data.read_digits(path)[1].tolist() == [9, 9]
    for content, says in (
        (digits_csv([good[1:]]), "has 64 columns"),
        (digits_csv([good, good[1:]]), "not a whole table"),
        (digits_csv([["a"] * 65]), "not a whole table"),
        (digits_csv([[17] * 64 + [0]]), "no pixel and no digit"),
        (digits_csv([[-1] * 64 + [0]]), "no pixel and no digit"),
        (digits_csv([[0.5] * 64 + [0]]), "no pixel and no digit"),
        (digits_csv([["nan"] * 64 + [0]]), "no pixel and no digit"),
        (digits_csv([[0] * 64 + [10]]), "label 10 at row 0; it takes 0 to 9"),
        (gzip.compress(b""), "columns"),
        (digits_csv([good] * 9)[:-10], "not a whole table"),
        ("é".encode(), "not a whole table"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            data.read_digits(path)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(5, 40), min_size=1, max_size=4), st.floats(0.15, 0.85), st.integers(0, 99))
def test_stratified_split(sizes, share, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    test = data.stratified_split(y, share, generator(seed, "split"))
    assert test.dtype == bool
    for label, size in enumerate(sizes):
        assert test[y == label].sum() == round(share * size)
    np.testing.assert_array_equal(test, data.stratified_split(y, share, generator(seed, "split")))


def test_split_draws_every_sample_equally_often():
    y = np.repeat([0, 1], 10)
    drawn = np.mean([data.stratified_split(y, 0.3, generator(seed, "split")) for seed in range(2000)], axis=0)
    assert np.abs(drawn - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 2000)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_split_takes_a_share(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        data.stratified_split(np.arange(4) % 2, share, generator(0, "split"))


def test_split_needs_samples_on_both_sides():
    with pytest.raises(InputError, match="leaves class 1 with 1 samples 0 of them"):
        data.stratified_split(np.array([0] * 10 + [1]), 0.2, generator(0, "split"))


# the step


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("prepare_script", ROOT / "scripts/prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def job(tmp_path, files, settings):
    return SimpleNamespace(
        input=SimpleNamespace(files=[str(file) for file in files]),
        output=[str(tmp_path / "out/prepared.safetensors")],
        params=SimpleNamespace(settings={**settings, "code": "x"}),
        wildcards=SimpleNamespace(dataset="d"),
        threads=1,
        log=["unused"],
        rule="prepare",
    )


IDX = {
    "reader": "idx",
    "train": {"images": "a-images", "labels": "a-labels"},
    "test": {"images": "b-images", "labels": "b-labels"},
    "classes": 3,
}


@pytest.fixture
def idx_files(tmp_path):
    for name, rows in (("a", slice(0, 9)), ("b", slice(9, 12))):
        (tmp_path / f"{name}-images").write_bytes(gzip.compress(idx(IMAGES[rows])))
        (tmp_path / f"{name}-labels").write_bytes(gzip.compress(idx(LABELS[rows])))
    return sorted(tmp_path.iterdir())


def test_prepared_idx(script, tmp_path, idx_files, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("interneuron"), "propagate", True)
    caplog.set_level(logging.INFO, "interneuron")
    task = job(tmp_path, idx_files, IDX)
    script.main(task)
    tensors = io.load_tensors(task.output[0])
    assert {name: (value.dtype.name, value.shape) for name, value in tensors.items()} == {
        "x": ("uint8", (12, 5, 4)),
        "y": ("int64", (12,)),
        "split": ("uint8", (12,)),
    }
    np.testing.assert_array_equal(tensors["x"], IMAGES)
    np.testing.assert_array_equal(tensors["y"], LABELS)
    assert tensors["split"].tolist() == [0] * 9 + [1] * 3
    assert io.metadata(task.output[0]) == {"classes": 3, "scale": 255}
    assert "9 train and 3 test images of 5 x 4, 3 classes of 4 to 4" in caplog.text
    first = io.sha256(task.output[0])
    script.main(task)
    assert io.sha256(task.output[0]) == first


def test_prepared_idx_that_does_not_fit(script, tmp_path, idx_files):
    with pytest.raises(InputError, match="label 2 at row 2; it takes 0 to 1"):
        script.main(job(tmp_path, idx_files, {**IDX, "classes": 2}))
    (tmp_path / "b-labels").write_bytes(idx(LABELS[9:11]))
    with pytest.raises(InputError, match=r"b-images with .*b-labels has 3 images and 2 labels"):
        script.main(job(tmp_path, idx_files, IDX))
    (tmp_path / "b-labels").write_bytes(idx(LABELS[9:]))
    (tmp_path / "b-images").write_bytes(idx(IMAGES[9:, :4]))
    with pytest.raises(InputError, match="5 x 4 pixels and test images of 4 x 4"):
        script.main(job(tmp_path, idx_files, IDX))
    assert not (tmp_path / "out").exists()


def test_prepared_digits(script, tmp_path):
    settings = {"reader": "digits", "file": "digits.csv.gz", "test_share": 0.2, "split_seed": 0, "classes": 10}
    task = job(tmp_path, [installed_digits()], settings)
    script.main(task)
    tensors = io.load_tensors(task.output[0])
    x, y = data.read_digits(installed_digits())
    np.testing.assert_array_equal(tensors["x"], x)
    np.testing.assert_array_equal(tensors["y"], y)
    assert io.metadata(task.output[0]) == {"classes": 10, "scale": 16}
    assert tensors["split"].dtype == np.uint8
    counts = np.bincount(y)
    assert np.bincount(y[tensors["split"] == 1]).tolist() == [round(0.2 * count) for count in counts]
    first = io.sha256(task.output[0])
    script.main(task)
    assert io.sha256(task.output[0]) == first
    task.params.settings["split_seed"] = 1
    script.main(task)
    assert (io.load_tensors(task.output[0])["split"] != tensors["split"]).any()
    task.params.settings["classes"] = 9
    with pytest.raises(InputError, match="label 9"):
        script.main(task)
