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
        (idx(LABELS), r"magic number is 0x00000801 \(uint8, 1D\), it takes 0x00000803"),
        (idx(IMAGES, magic=0x0D03), "magic number is 0x00000d03"),
        (whole[:-1], r"12 x 5 x 4 = 240 bytes, but 239 follow"),
        (whole + b"x", "240 bytes, but more follow"),
        (idx(IMAGES[:0]), "at least one"),
        (struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"abc", "follow|cannot be read"),
    ):
        with pytest.raises(InputError, match=says):
            data.read_idx_images(write("images", content))
    with pytest.raises(InputError, match=r"magic number is 0x00000803 \(uint8, 3D\), it takes 0x00000801"):
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


def test_what_lies_behind_a_gzip_stream_is_left_out_as_gunzip_does(tmp_path):
    path, whole, packed = tmp_path / "images", idx(IMAGES), gzip.compress(idx(IMAGES))
    parts = gzip.compress(whole[:50]) + gzip.compress(whole[50:])
    for content in (packed + b"trailing", packed + b"x", packed + bytes(3000), packed + bytes(9) + b"tail", parts):
        path.write_bytes(content)
        np.testing.assert_array_equal(data.read_idx_images(path), IMAGES)
    # A second member belongs to the content, whole or broken.
    for content, says in (
        (packed + gzip.compress(b"more"), "240 bytes, but more follow"),
        (gzip.compress(whole[:50]) + gzip.compress(whole[50:])[:-9], "cannot be read to its end"),
        (packed[:-4] + b"tail", "cannot be read to its end"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            data.read_idx_images(path)


def test_a_header_that_announces_more_than_memory_holds(write):
    head = struct.pack(">4I", 0x803, 2**31, 2**15, 2**15)
    for tail, follows in ((b"x", "1 follows"), (b"", "0 follow"), (b"xyz", "3 follow")):
        with pytest.raises(InputError) as refused:
            data.read_idx_images(write("images", head + tail))
        says = f"announces images of 2,147,483,648 x 32,768 x 32,768 = 2,305,843,009,213,693,952 bytes, but {follows}"
        assert str(refused.value).endswith(says)


def test_transposed_images_come_out_upright(write):
    x = data.read_idx_images(write("images", idx(IMAGES.transpose(0, 2, 1))), transposed=True)
    np.testing.assert_array_equal(x, IMAGES)
    assert x.flags.c_contiguous


@pytest.mark.parametrize(("kind", "form"), [(0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4")])
def test_labels_of_larger_whole_numbers_come_back(write, kind, form):
    y = np.array([3, 100, 0]) if kind == 0x09 else np.array([3, 1000, -7])
    found = data.read_idx_labels(write("labels", struct.pack(">2I", (kind << 8) + 1, 3) + y.astype(form).tobytes()))
    assert (found.dtype, found.tolist()) == (np.int64, y.tolist())


def test_files_that_lie_where_idx_is_expected_are_named(write, tmp_path):
    for content, says in (
        (idx(IMAGES, magic=0x0D03), r"0x00000d03 \(float32, 3D\), it takes 0x00000803"),
        (struct.pack(">4I", 0x0C02, 3, 8, 0), r"0x00000c02 \(int32, 2D\), it takes 0x00000803"),
    ):
        with pytest.raises(InputError, match=says):
            data.read_idx_images(write("images", content))
    for content, says in (
        (b"\n<!DOCTYPE html>", "is a web page"),
        (b"PK\3\4rest of it", "is a zip archive: unpack it first"),
        (b"\xfd7zXZ\0rest", "is compressed by xz: unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of git-lfs.*git lfs pull"),
    ):
        (tmp_path / "images").write_bytes(content)
        with pytest.raises(InputError, match=f"images {says}"):
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
    plain = gzip.decompress(digits_csv([good, good]))
    for content in (plain, plain.replace(b"\n", b"\r\n\r\n"), b"\xef\xbb\xbf" + plain):
        path.write_bytes(gzip.compress(content))
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


@given(st.integers(2, 200), st.floats(0.01, 0.9))
def test_a_random_split_takes_the_share_rounded_up(samples, share):
    from math import ceil

    if ceil(share * samples) == samples:
        with pytest.raises(InputError, match="leaves none to train on"):
            data.random_split(samples, share, generator(0, "split"))
        return
    test = data.random_split(samples, share, generator(0, "split"))
    assert (test.dtype, test.shape, test.sum()) == (bool, (samples,), ceil(share * samples))
    assert (test == data.random_split(samples, share, generator(0, "split"))).all()


def test_a_random_split_is_random_and_takes_a_share():
    tests = np.mean([data.random_split(10, 0.3, generator(seed, "split")) for seed in range(500)], axis=0)
    assert abs(tests - 0.3).max() < 0.1
    with pytest.raises(InputError, match="between 0 and 1"):
        data.random_split(10, 1.0, generator(0, "split"))


# generated tables

TERMS = [{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]


def test_the_boolean_function_is_that_of_the_paper():
    x, y = data.boolean_table(20000, 10, TERMS, generator(0, "samples"))
    assert (x.dtype, x.shape, y.dtype, y.shape) == (np.float32, (20000, 10), np.int64, (20000,))
    v1, v2, v3 = x[:, :3].astype(bool).T
    np.testing.assert_array_equal(y, (v1 & v3) | (v2 & ~v3))
    assert set(np.unique(x)) == {0, 1}
    assert abs(x.mean(0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(x.T) - np.eye(10)).max() < 0.03
    again, _ = data.boolean_table(20000, 10, TERMS, generator(0, "samples"))
    np.testing.assert_array_equal(x, again)


@pytest.mark.parametrize("term", [{}, {"v11": 1}, {"v1": 2}, {"x": 0}])
def test_a_term_takes_features_that_there_are(term):
    with pytest.raises(InputError, match=r"a term is .*it takes values 0 or 1 of v1 to v10"):
        data.boolean_table(5, 10, [{"v1": 1}, term], generator(0, "samples"))
    with pytest.raises(InputError, match="0 samples of 10 features"):
        data.boolean_table(0, 10, TERMS, generator(0, "samples"))


# the Titanic

HEAD = "PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked"
ROW = '1,0,3,"Braund, Mr. Owen Harris",male,22,1,0,A/5 21171,7.25,,S'


def passengers(count, seed=0):
    """Lines of a file like the published one: missing ages and ports, rare titles, fares and ages on the cuts."""
    random = np.random.default_rng(seed)
    titles = ["Mr", "Miss", "Mrs", "Master", "Mlle", "Ms", "Mme"]
    titles += ["Lady", "Countess", "Capt", "Col", "Don", "Dr", "Major", "Rev", "Sir", "Jonkheer", "Dona"]
    lines = [HEAD]
    for number in range(count):
        age = random.choice(["", "0.42", "16", "16.5", "17", "28", "32", "33", "48", "49.5", "64", "65", "80"])
        name = f'"Sur-name {number}, {random.choice(titles)}. Ann ""Nan"" (Miss. X)"'
        cells = [number, random.integers(2), random.integers(1, 4), name, random.choice(["male", "female"]), age]
        fare = random.choice(["0", "7.91", "7.925", "14.454", "14.5", "31", "512.3292"])
        port = random.choice(["S", "C", "Q", ""], p=[0.7, 0.15, 0.1, 0.05])
        cells += [random.integers(3), random.integers(2), "A/5 21171", fare, "", port]
        lines.append(",".join(map(str, cells)))
    return lines


def published(path):
    """The steps of the published code, with pandas."""
    import pandas as pd

    table = pd.read_csv(path)
    table["Title"] = table["Name"].str.extract(r" ([A-Za-z]+)\.", expand=False)
    rare = ["Lady", "Countess", "Capt", "Col", "Don", "Dr", "Major", "Rev", "Sir", "Jonkheer", "Dona"]
    table["Title"] = table["Title"].replace(rare, "Rare").replace({"Mlle": "Miss", "Ms": "Miss", "Mme": "Mrs"})
    table["Title"] = table["Title"].map({"Mr": 1, "Miss": 2, "Mrs": 3, "Master": 4, "Rare": 5}).fillna(0)
    table["Sex"] = table["Sex"].map({"female": 1, "male": 0}).astype(int)
    guesses = {}
    for sex in (0, 1):
        for pclass in (1, 2, 3):
            cell = table[(table["Sex"] == sex) & (table["Pclass"] == pclass)]
            guesses[sex, pclass] = int(cell["Age"].dropna().median() / 0.5 + 0.5) * 0.5
    for (sex, pclass), guess in guesses.items():
        missing = table["Age"].isnull() & (table["Sex"] == sex) & (table["Pclass"] == pclass)
        table.loc[missing, "Age"] = guess
    table["Age"] = pd.cut(table["Age"].astype(int), [-1, 16, 32, 48, 64, 200], labels=False)
    table["IsAlone"] = (table["SibSp"] + table["Parch"] + 1 == 1).astype(int)
    table["Embarked"] = table["Embarked"].fillna(table["Embarked"].dropna().mode()[0]).map({"S": 0, "C": 1, "Q": 2})
    table["Fare"] = pd.cut(table["Fare"], [-1, 7.91, 14.454, 31, 1000], labels=False)
    return table[list(data.TITANIC)].to_numpy(np.float32), table["Survived"].to_numpy(np.int64), guesses


@pytest.mark.parametrize("seed", range(5))
def test_titanic_is_cleaned_as_published(write, seed):
    path = write("train.csv", "\r\n".join(passengers(300, seed)).encode())
    x, y = data.read_titanic(path)
    assert (x.dtype, x.shape, y.dtype) == (np.float32, (300, 7), np.int64)
    if path.read_bytes()[:2] == b"\x1f\x8b":
        path = path.with_suffix(".csv")
        path.write_bytes("\r\n".join(passengers(300, seed)).encode())
    expected, classes, _ = published(path)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, classes)


@pytest.mark.published
def test_the_published_titanic_has_these_counts(tmp_path):
    """Of each step of the cleaning, on the file itself: from INTERNEURON_MIRROR or the network."""
    import os

    import pandas as pd
    import yaml

    from interneuron.io.download import fetch

    entry = yaml.safe_load((ROOT / "config/datasets/titanic.yaml").read_text())
    (file,) = entry["files"]
    path, base = tmp_path / "train.csv", os.environ.get("INTERNEURON_MIRROR")
    mirror = f"{base}/{entry['mirror']}/{file['path']}" if base else None
    fetch(path, file["urls"], sha256=file["sha256"], mirror=mirror)
    raw = pd.read_csv(path)
    assert len(raw) == 891
    assert raw["Survived"].value_counts().to_dict() == {0: 549, 1: 342}
    missing = raw.isna().sum()
    assert missing[missing > 0].to_dict() == {"Age": 177, "Cabin": 687, "Embarked": 2}
    x, y = data.read_titanic(path)
    expected, _, guesses = published(path)
    assert guesses == {(0, 1): 40, (0, 2): 30, (0, 3): 25, (1, 1): 35, (1, 2): 28, (1, 3): 21.5}
    np.testing.assert_array_equal(x, expected)
    assert y.sum() == 342
    counts = {
        name: np.unique(column, return_counts=True)[1].tolist() for name, column in zip(data.TITANIC, x.T, strict=True)
    }
    assert counts == {
        "Pclass": [216, 184, 491],
        "Sex": [577, 314],
        "Age": [100, 495, 216, 69, 11],
        "Fare": [223, 217, 229, 222],
        "Embarked": [646, 168, 77],
        "Title": [517, 185, 126, 40, 23],
        "IsAlone": [354, 537],
    }


def test_a_missing_age_is_the_median_of_its_cell_to_the_half_and_then_cut():
    nan = np.nan
    age = np.array([20, 21, nan, 0.42, nan, 50, 30.5])
    sex, pclass = np.array([0, 0, 0, 1, 1, 0, 0]), np.array([3, 3, 3, 3, 3, 1, 3])
    # The median of 20, 21 and 30.5 is 21; that of 0.42 alone is rounded to 0.5, and cut to 0.
    assert data.fill_ages(age, sex, pclass).tolist() == [20, 21, 21, 0, 0, 50, 30]
    with pytest.raises(InputError, match="no age is known of sex 1 in class 2"):
        data.fill_ages(np.array([20.0, nan]), np.array([0, 1]), np.array([2, 2]))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",Embarked", "", "has 0 columns 'Embarked'; it has PassengerId, "),
        (",Cabin", ",Age", "has 2 columns 'Age'"),
        ('Harris"', 'Harris",', "line 3 has 13 cells; it takes 12"),
        (",,S", ",S", "line 3 has 11 cells; it takes 12"),
        ("1,0,3,", "1,2,3,", "line 3: Survived is '2', but takes 0 or 1"),
        ("1,0,3,", "1,0,4,", "line 3: Pclass is '4', but takes 1 or 2 or 3"),
        ("male,22", "man,22", "line 3: Sex is 'man', but takes male or female"),
        ("male,22", "male,old", "line 3: Age is 'old', but takes a number of at least 0 or nothing"),
        ("male,22", "male,nan", "line 3: Age is 'nan'"),
        ("male,22", "male,-1", "line 3: Age is '-1'"),
        (",7.25,", ",,", "line 3: Fare is '', but takes a number of at least 0"),
        (",,S", ",,X", "line 3: Embarked is 'X', but takes S or C or Q or nothing"),
        ("Mr. Owen", "Mister Owen", "line 3: Name is 'Braund, Mister Owen Harris', but takes a title: Mr, Miss, "),
        ("Mr. Owen", "King. Owen", "line 3: Name is .*takes a title"),
    ],
)
def test_what_is_no_passenger_is_refused_with_its_line_and_column(tmp_path, old, new, sentence):
    lines = [HEAD, ROW.replace("Owen", "Ann"), ROW]
    lines[0 if old in HEAD else 2] = lines[0 if old in HEAD else 2].replace(old, new)
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n\n")
    with pytest.raises(InputError, match=sentence) as error:
        data.read_titanic(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has 0 columns 'Survived'; it has none"),
        (HEAD.encode(), "has no lines after its first"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (f'{HEAD}\n1,0,3,"Braund'.encode(), "line 2 cannot be read"),
        (f"{HEAD}\n{ROW[:-1]}".encode(), "Embarked is empty in every line"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, sentence):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        data.read_titanic(path)


# the step


def of_file(name):
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return of_file("prepare")


@pytest.fixture(scope="module")
def tabulate():
    return of_file("tabulate")


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
    "transposed": False,
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


def test_prepared_idx_of_transposed_images(script, tmp_path, idx_files):
    for name, rows in (("a", slice(0, 9)), ("b", slice(9, 12))):
        (tmp_path / f"{name}-images").write_bytes(idx(IMAGES[rows].transpose(0, 2, 1)))
    task = job(tmp_path, idx_files, {**IDX, "transposed": True})
    script.main(task)
    np.testing.assert_array_equal(io.load_tensors(task.output[0])["x"], IMAGES)


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


def test_prepared_tables(tabulate, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("interneuron"), "propagate", True)
    caplog.set_level(logging.INFO, "interneuron")
    settings = {"reader": "boolean", "samples": 500, "features": 4, "terms": TERMS, "test_share": 0.2, "seed": 3}
    task = job(tmp_path, [], settings | {"classes": 2})
    tabulate.main(task)
    tensors = io.load_tensors(task.output[0])
    assert {name: (value.dtype.name, value.shape) for name, value in tensors.items()} == {
        "x": ("float32", (500, 4)),
        "y": ("int64", (500,)),
        "split": ("uint8", (500,)),
    }
    assert io.metadata(task.output[0]) == {"classes": 2, "features": ["v1", "v2", "v3", "v4"]}
    assert tensors["split"].sum() == 100
    assert "400 train and 100 test samples of 4 features, 2 classes of " in caplog.text
    first = io.sha256(task.output[0])
    tabulate.main(task)
    assert io.sha256(task.output[0]) == first

    (tmp_path / "train.csv").write_text("\n".join(passengers(91)))
    settings = {"reader": "titanic", "file": "train.csv", "test_share": 0.1, "seed": 0, "classes": 2}
    task = job(tmp_path, [tmp_path / "train.csv"], settings)
    tabulate.main(task)
    tensors = io.load_tensors(task.output[0])
    np.testing.assert_array_equal(tensors["x"], data.read_titanic(tmp_path / "train.csv")[0])
    assert tensors["split"].sum() == 10
    assert io.metadata(task.output[0]) == {"classes": 2, "features": list(data.TITANIC)}


# other splits, and wrong labels


def test_a_redrawn_split_has_as_many_of_every_class() -> None:
    y = np.array([0] * 10 + [1] * 5 + [2] * 7)
    split = (np.arange(22) % 3 == 0).astype(np.uint8)
    drawn = [data.redraw_split(split, y, generator(seed, "split")) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    for other in drawn:
        assert other.dtype == split.dtype
        for label in range(3):
            assert other[y == label].sum() == split[y == label].sum()


def test_flips_are_the_share_of_every_class() -> None:
    y = np.array([3] * 40 + [8] * 20)
    flipped = data.flip_labels(y, 0.1, generator(0, "flips"))
    assert (flipped != y)[:40].sum() == 4
    assert (flipped != y)[40:].sum() == 2
    assert set(flipped) == {3, 8}
    assert (y == np.array([3] * 40 + [8] * 20)).all()
    many = data.flip_labels(np.repeat(np.arange(4), 50), 1.0, generator(0, "flips"))
    assert (many != np.repeat(np.arange(4), 50)).all()
    assert len(np.unique(many[:50])) == 3


@pytest.mark.parametrize(("y", "share"), [(np.array([0, 1]), 1.5), (np.array([1, 1]), 0.1)])
def test_flips_refuse(y: np.ndarray, share: float) -> None:
    with pytest.raises(InputError, match="flips take a share of 0 to 1 and two classes or more"):
        data.flip_labels(y, share, generator(0, "flips"))
