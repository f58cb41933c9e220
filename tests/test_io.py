"""Files come back as they were written, equal content gives equal bytes, and nothing half written is left."""

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.figure import Figure
from PIL import Image
from safetensors.numpy import save_file

from interneuron import io
from interneuron.errors import InputError

TYPES = ("bool", "uint8", "uint16", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
TABLE = pd.DataFrame(
    {
        "seed": np.arange(3),
        "alpha": [0.1, np.nan, 1e-300],
        "reading": ["A", "", 'tab\t "quote"'],
        "exemplar": [True, False, True],
    }
)


# atomic


def test_atomic_renames_at_the_end_and_makes_folders(tmp_path):
    path = tmp_path / "a/b/c.txt"
    with io.atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["c.txt"]
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), PermissionError(errno.EACCES, "no")])
def test_atomic_keeps_the_old_file_and_the_error(tmp_path, error):
    path = tmp_path / "c.txt"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, io.atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert caught.value is error
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["c.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_sentence(tmp_path, code):
    path = tmp_path / "sub/c.txt"
    with pytest.raises(InputError, match=r"^disk is full: .*c\.txt") as caught, io.atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError(code, os.strerror(code))
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_full_disk_in_the_tensor_writer(tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(InputError, match="disk is full"):
        io.save_tensors(tmp_path / "t.safetensors", {"a": np.zeros(2)}, {})
    assert list(tmp_path.iterdir()) == []


def test_permissions_follow_the_umask(tmp_path):
    figure = Figure()
    io.save_tensors(tmp_path / "t.safetensors", {"a": np.zeros(2)}, {})
    io.save_table(tmp_path / "t.parquet", TABLE)
    io.save_text(tmp_path / "t.txt", "")
    io.save_figure(tmp_path / "t.png", figure)
    umask = os.umask(0)
    os.umask(umask)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert io.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match="there is no file"):
        io.sha256(tmp_path / "b")


def test_text_is_kept(tmp_path):
    io.save_text(tmp_path / "t.txt", "a\r\nβ\n")
    assert (tmp_path / "t.txt").read_bytes() == "a\r\nβ\n".encode()


# tensors


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text("abc.z0", min_size=1, max_size=6),
        st.sampled_from(TYPES).flatmap(
            lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        ),
        max_size=4,
    )
)
def test_tensors_come_back(tmp_path, tensors):
    path = tmp_path / "t.safetensors"
    io.save_tensors(path, tensors, {"names": sorted(tensors)})
    first = path.read_bytes()
    back = io.load_tensors(path)
    assert io.tensor_names(path) == sorted(tensors) == sorted(back) == io.metadata(path)["names"]
    for name, value in tensors.items():
        assert back[name].dtype == value.dtype
        assert back[name].shape == value.shape
        np.testing.assert_array_equal(back[name], value)
    io.save_tensors(path, dict(reversed(tensors.items())), {"names": sorted(tensors)})
    assert path.read_bytes() == first


def test_strided_and_big_endian_arrays_and_torch_tensors(tmp_path):
    path = tmp_path / "t.safetensors"
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    parameter = torch.nn.Parameter(torch.from_numpy(base.copy()))
    io.save_tensors(
        path, {"t": base.T, "step": base[::2, 1::3], "big": base.astype(">f4"), "p": parameter, "pt": parameter.T}, {}
    )
    back = io.load_tensors(path)
    for name, value in {"t": base.T, "step": base[::2, 1::3], "big": base, "p": base, "pt": base.T}.items():
        np.testing.assert_array_equal(back[name], value)


def test_names_and_rows_are_picked_in_the_order_asked(tmp_path):
    path = tmp_path / "t.safetensors"
    values = {name: np.random.default_rng(i).random((5, 3)) for i, name in enumerate("abc")}
    io.save_tensors(path, values, {})
    back = io.load_tensors(path, ["c", "a"], rows=slice(1, 3))
    assert list(back) == ["c", "a"]
    for name, value in back.items():
        np.testing.assert_array_equal(value, values[name][1:3])
    with pytest.raises(InputError, match=r"has no tensor 'd'; it has a, b, c"):
        io.load_tensors(path, ["d"])


def test_metadata_is_sorted_json_under_one_key(tmp_path):
    path = tmp_path / "t.safetensors"
    io.save_tensors(path, {"a": np.zeros(1)}, {"b": np.float32(0.5), "a": {"k": np.arange(2), "j": (1, "x")}})
    assert io.metadata(path) == {"a": {"j": [1, "x"], "k": [0, 1]}, "b": 0.5}
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["__metadata__"] == {"interneuron": '{"a": {"j": [1, "x"], "k": [0, 1]}, "b": 0.5}'}


@pytest.mark.parametrize("bad", [{"a": float("nan")}, {"a": object()}, {1: "a", "b": "c"}])
def test_metadata_that_is_no_json_is_refused(tmp_path, bad):
    with pytest.raises(InputError, match="are not JSON"):
        io.save_tensors(tmp_path / "t.safetensors", {"a": np.zeros(1)}, bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad", [np.array(["a"]), np.array([1j]), np.array([None]), torch.zeros(2, dtype=torch.bfloat16)]
)
def test_types_that_are_not_stored_are_refused(tmp_path, bad):
    with pytest.raises(InputError, match="tensor 'a' is of type"):
        io.save_tensors(tmp_path / "t.safetensors", {"a": bad}, {})


def test_broken_and_foreign_tensor_files(tmp_path):
    path = tmp_path / "t.safetensors"
    with pytest.raises(InputError, match="there is no file"):
        io.load_tensors(path)
    io.save_tensors(path, {"a": np.zeros(100)}, {})
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:40], b"", b"not a tensor file at all"):
        path.write_bytes(broken)
        for read in (io.load_tensors, io.metadata, io.tensor_names):
            with pytest.raises(InputError, match="not a whole safetensors file"):
                read(path)
    save_file({"a": np.zeros(2)}, path)
    assert io.tensor_names(path) == ["a"]
    with pytest.raises(InputError, match="no metadata under the key 'interneuron'"):
        io.metadata(path)
    save_file({"a": np.zeros(2)}, path, {"interneuron": "{"})
    with pytest.raises(InputError, match="are not JSON"):
        io.metadata(path)


def test_nothing_heavy_is_imported_for_arrays(tmp_path):
    code = (
        "import sys, numpy as np; from interneuron import io\n"
        "assert 'interneuron.io.download' not in sys.modules\n"
        f"io.save_tensors({str(tmp_path / 't.safetensors')!r}, {{'a': np.zeros(2)}}, {{}})\n"
        f"assert io.load_tensors({str(tmp_path / 't.safetensors')!r})['a'].shape == (2,)\n"
        "print([name for name in ('torch', 'pandas', 'matplotlib', 'pyarrow', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# tables


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_tables_come_back_and_have_the_same_bytes(tmp_path, suffix):
    path, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    io.save_table(path, TABLE)
    back = io.load_table(path)
    pd.testing.assert_frame_equal(back, TABLE)
    io.save_table(again, back.set_index(pd.Index([7, 8, 9])))
    assert io.sha256(path) == io.sha256(again)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays("float64", st.integers(1, 6), elements=st.floats(width=64)))
def test_floats_come_back_exactly(tmp_path, values):
    for suffix in (".parquet", ".tsv"):
        io.save_table(tmp_path / f"f{suffix}", pd.DataFrame({"a": values, "b": 0.5}))
        back = io.load_table(tmp_path / f"f{suffix}")["a"]
        assert back.dtype == float
        np.testing.assert_array_equal(back, values)


LIKE_NUMBERS = [
    *(["001", "002"], ["1e5"], ["2024"], ["2396e87607016390"], ["0.90", "0.50"], ["-0"], ["1e400"], [".5", "5."]),
    *(["True"], ["false", "TRUE"], ["True", ""], ["", ""], ["inf"], ["1", ""], ["12345678901234567890123"]),
    *(["NA", "nan"], ["None", "null"], ["1", "NA"], [" 1"], ["1_000"], ["0x10"], ["١"], ['"1"'], ["1\t2"], ["\r\n"]),
]


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
@pytest.mark.parametrize("values", LIKE_NUMBERS, ids=repr)
def test_text_stays_text(tmp_path, suffix, values):
    io.save_table(tmp_path / f"t{suffix}", pd.DataFrame({"text": values, "number": range(len(values))}))
    back = io.load_table(tmp_path / f"t{suffix}")
    assert back["text"].tolist() == values
    assert back["number"].dtype == np.int64


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from("0123456789.eE+-infTrue \t\r\n\"'\ufeff\u2028,#"), max_size=5), max_size=4))
def test_any_text_comes_back_from_tsv(tmp_path, values):
    names = ["a\tb", '"', "1"]
    io.save_table(tmp_path / "t.tsv", pd.DataFrame(dict.fromkeys(names, values)))
    back = io.load_table(tmp_path / "t.tsv")
    assert {name: back[name].tolist() for name in back} == dict.fromkeys(names, values)


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([2**53 + 1, -(2**63), 2**63 - 1]), "int64"),
        (np.array([2**64 - 1, 0], np.uint64), "uint64"),
        (pd.array([2**60 + 1, None], dtype="Int64"), "Int64"),
        (pd.array([2**64 - 1, None], dtype="UInt64"), "UInt64"),
        (pd.array([2**53, None], dtype="Int64"), "float64"),
        (np.array([np.nan, np.nan]), "float64"),
        (np.array([np.inf, -np.inf, np.nan]), "float64"),
        (np.array([-0.0, 5e-324, 1.7976931348623157e308]), "float64"),
        (np.array([True, False]), "bool"),
    ],
)
def test_numbers_stay_numbers(tmp_path, suffix, values, kind):
    io.save_table(tmp_path / f"t{suffix}", pd.DataFrame({"a": values}))
    back = io.load_table(tmp_path / f"t{suffix}")["a"]
    assert back.dtype == kind
    assert back.isna().tolist() == pd.Series(values).isna().tolist()
    assert [repr(value) for value in back.dropna().tolist()] == [
        repr(float(value) if kind == "float64" else value) for value in pd.Series(values).dropna().tolist()
    ]


def test_tsv_is_plain(tmp_path):
    frame = pd.DataFrame(
        {"note": ["", ""], "group": ["NA", ""], "study": ["001", "1e5"], "n": [1, 2], "x": [np.nan, 3]}
    )
    io.save_table(tmp_path / "t.tsv", frame)
    assert (tmp_path / "t.tsv").read_text() == 'note\tgroup\tstudy\tn\tx\n""\tNA\t001\t1\t\n""\t\t1e5\t2\t3.0\n'
    pd.testing.assert_frame_equal(io.load_table(tmp_path / "t.tsv"), frame)
    # Quotes are for those columns alone that would be taken for numbers.
    io.save_table(tmp_path / "t.tsv", frame[1:])
    assert (tmp_path / "t.tsv").read_text() == 'note\tgroup\tstudy\tn\tx\n""\t""\t"1e5"\t2\t3.0\n'


def test_tsv_that_others_wrote(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes(b'\xef\xbb\xbfstudy\tn\tx\tnote\r\n001\t+1\t.5\t5" pipe\r\n002\t\t1.\t\r\n\r\n')
    back = io.load_table(path)
    assert back.drop(columns="n").to_dict("list") == {"study": ["001", "002"], "x": [0.5, 1.0], "note": ['5" pipe', ""]}
    np.testing.assert_array_equal(back["n"], [1, np.nan])
    path.write_bytes(b"a\tb\r1\tx\r2\ty\r")
    assert io.load_table(path).to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    for text, reason in (
        ('a\tb\n1\t"x\n', "line 2: quotes that are not closed"),
        ('a\tb\n1\t"x"y\n', "line 2: quotes that are not closed"),
        ("a\tb\n1\t2\n1\n", "line 3 has 1 values, the first 2"),
        ("a\ta\n1\t2\n", "column 2 has the name a of another"),
        ("a\t\n1\t2\n", "column 2 has no name"),
        ('"a"\ta\n1\t2\n', "column 2 has the name a of another"),
        ('a\t""\n1\t2\n', "column 2 has no name"),
        ("a\n\u00e9\n".encode("latin-1"), "codec can't decode byte"),
    ):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError, match=rf"t\.tsv is not a whole \.tsv table \(.*{reason}.*\); make it again$"):
            io.load_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (pd.DataFrame({"b": [1, 2], "a": [1, "x"]}), "column 'a' holds values of the types int, str; it takes one"),
        (pd.DataFrame({"a": ["x", 1.5]}), "column 'a' holds values of the types float, str; it takes one"),
        (pd.DataFrame({"a": [True, "x", None]}), "column 'a' holds values of the types bool, str; it takes one"),
        (pd.DataFrame({"a": [b"x", "x"]}), "column 'a' holds values of the types bytes, str; it takes one"),
        (pd.DataFrame({"a": [10**30]}), "column 'a' cannot be stored"),
        (pd.DataFrame({"a": [1j]}), "column 'a' cannot be stored"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), "column 'a' cannot be stored"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'; each takes a name of its own"),
        (pd.DataFrame([[1, 2]]), "a column is named 0; a name is text"),
        (
            pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
            r"a column is named \('a', 'b'\); a name",
        ),
        (pd.DataFrame({"": [1]}), "a column has no name; a name is text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_table_cannot_hold_is_one_sentence(tmp_path, suffix, frame, sentence):
    path = tmp_path / f"t{suffix}"
    path.write_text("as it was")
    with pytest.raises(InputError, match=rf"t\{suffix}: {sentence}") as error:
        io.save_table(path, frame)
    assert "\n" not in str(error.value)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["as it was"]


@pytest.mark.parametrize("value", [pd.Timestamp("2026-01-01"), [1, 2], b"x"], ids=repr)
def test_tsv_takes_text_and_numbers_only(tmp_path, value):
    with pytest.raises(
        InputError, match=r"t\.tsv: column 'a' is of type .*; a \.tsv takes text, numbers, truth values$"
    ):
        io.save_table(tmp_path / "t.tsv", pd.DataFrame({"a": [value]}))
    with pytest.raises(InputError, match=r"t\.tsv: the table has no columns"):
        io.save_table(tmp_path / "t.tsv", pd.DataFrame())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_a_table_without_rows(tmp_path, suffix):
    io.save_table(tmp_path / f"t{suffix}", TABLE.head(0))
    back = io.load_table(tmp_path / f"t{suffix}")
    assert list(back.columns) == list(TABLE.columns)
    assert len(back) == 0
    path = tmp_path / f"text{suffix}"
    io.save_table(path, pd.DataFrame({"a": ["x"]}).head(0))
    assert io.load_table(path)["a"].str.upper().tolist() == []


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_what_lies_where_a_table_is_expected_is_named(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    for content, sentence in (
        (b"<!DOCTYPE html>\n<html></html>\n", r"is a web page \(HTML\), not the file itself: fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of git-lfs, not the file itself"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"t\{suffix} {sentence}"):
            io.load_table(path)


def test_broken_tables(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="there is no file"):
        io.load_table(path)
    io.save_table(path, TABLE)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"not a whole \.parquet table"):
        io.load_table(path)
    (tmp_path / "t.tsv").write_text("")
    with pytest.raises(InputError, match=r"not a whole \.tsv table"):
        io.load_table(tmp_path / "t.tsv")
    with pytest.raises(InputError, match=r"takes \.parquet or \.tsv"):
        io.save_table(tmp_path / "t.csv", TABLE)


# pictures


def test_figures_hold_no_date_and_have_the_same_bytes(tmp_path):
    hashes = set()
    for name in ("a.png", "b.png"):
        figure = Figure(figsize=(2, 1), dpi=50)
        figure.subplots().plot([0, 1], [1, 0])
        io.save_figure(tmp_path / name, figure)
        hashes.add(io.sha256(tmp_path / name))
    assert len(hashes) == 1
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (100, 50)
        assert set(image.info) <= {"dpi"}


def test_grey_animations_are_exact(tmp_path):
    frames = list(np.random.default_rng(0).integers(0, 256, (4, 9, 7), dtype=np.uint8))
    io.save_animation(tmp_path / "a.gif", frames, 120)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 4
        assert image.info["loop"] == 0
        for i, frame in enumerate(frames):
            image.seek(i)
            assert image.info["duration"] == 120
            np.testing.assert_array_equal(np.asarray(image.convert("L")), frame)
    first = hashlib.sha256((tmp_path / "a.gif").read_bytes()).digest()
    io.save_animation(tmp_path / "a.gif", frames, 120)
    assert hashlib.sha256((tmp_path / "a.gif").read_bytes()).digest() == first


def test_coloured_animations(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    frames = [np.broadcast_to(colour, (6, 5, 3)) for colour in colours]
    io.save_animation(tmp_path / "a.gif", frames, 50)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3
        for i, frame in enumerate(frames):
            image.seek(i)
            distance = np.abs(np.asarray(image.convert("RGB")).astype(int) - frame)
            assert distance.max() <= 8


@pytest.mark.parametrize(
    ("frames", "ms", "says"),
    [
        ([], 50, "are no animation"),
        ([np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)], 50, "are no animation"),
        ([np.zeros((2, 2, 4), np.uint8)], 50, "are no animation"),
        ([np.zeros((0, 2), np.uint8)], 50, "are no animation"),
        ([np.zeros((2, 2))], 50, "of type float64"),
        ([np.zeros((2, 2), np.uint8)], 5, "a frame of 5 ms"),
    ],
)
def test_what_is_no_animation_is_refused(tmp_path, frames, ms, says):
    with pytest.raises(InputError, match=says):
        io.save_animation(tmp_path / "a.gif", frames, ms)
    assert list(tmp_path.iterdir()) == []
