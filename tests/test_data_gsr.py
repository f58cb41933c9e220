"""Readers of FCS, COIL-20 and the teapot, on files written here."""

from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from interneuron.data_gsr import read_coil20, read_fcs, read_teapots
from interneuron.errors import InputError


def fcs(x, names, *, form="<f8", separator="/", version="FCS3.1", changes=None, beyond=False):
    """Bytes of an FCS file of x [cells, markers]."""
    kind, order = ("D" if form[2] == "8" else "F"), ("1,2,3,4" if form[0] == "<" else "4,3,2,1")
    data = x.astype(form).tobytes()
    first, last = 1024, 1024 + len(data) - 1
    keywords = {"$MODE": "L", "$DATATYPE": kind, "$BYTEORD": order, "$TOT": len(x), "$PAR": x.shape[1]}
    keywords |= {"$BEGINDATA": first, "$ENDDATA": last}
    keywords |= {f"$P{i + 1}N": name.replace(separator, separator * 2) for i, name in enumerate(names)}
    keywords |= changes or {}
    keywords = {name: value for name, value in keywords.items() if value is not None}
    text = separator + "".join(f"{name}{separator}{value}{separator}" for name, value in keywords.items())
    place = (0, 0) if beyond else (first, last)
    header = f"{version:<10}" + "".join(f"{offset:>8}" for offset in (256, 256 + len(text) - 1, *place, 0, 0))
    return header.encode().ljust(256) + text.encode().ljust(1024 - 256) + data + b"\n"


X = np.random.default_rng(0).normal(size=(7, 3))
NAMES = ["CD4", "CD8/a", "TCRb"]


@pytest.mark.parametrize("form", ["<f8", ">f8", "<f4", ">f4"])
@pytest.mark.parametrize("separator", ["/", "|", "\x0c"])
def test_cells_and_names_come_back(tmp_path, form, separator):
    path = tmp_path / "a.fcs"
    for beyond in (False, True):
        path.write_bytes(fcs(X, NAMES, form=form, separator=separator, beyond=beyond))
        x, names = read_fcs(path)
        np.testing.assert_array_equal(x, X.astype(np.float32))
        assert x.dtype == np.float32
        assert names == NAMES


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no FCS file: it begins with b'', it takes FCS3.0 or FCS3.1"),
        (fcs(X, NAMES, version="FCS2.0"), "begins with b'FCS2.0'"),
        (b"FCS3.1    " + 48 * b"x", "broken FCS header"),
        (b"FCS3.1    " + 4 * b"      12", "broken FCS header"),
        (fcs(X, NAMES, changes={"$TOT": None}), r"lacks the keyword \$TOT"),
        (fcs(X, NAMES, changes={"$P3N": None}), r"lacks the keyword \$P3N"),
        (fcs(X, NAMES, changes={"$TOT": "many"}), r"has \$TOT 'many', it takes a whole number"),
        (fcs(X, NAMES, changes={"$TOT": 0}), "has 0 cells and 3 markers"),
        (fcs(X, NAMES, changes={"$TOT": 8}), "announces 8 cells of 3 markers = 192 bytes, but fewer follow"),
        (fcs(X, NAMES)[:-30], "announces 7 cells"),
        (fcs(X, NAMES, changes={"$DATATYPE": "I"}), r"\$DATATYPE I and .*, it takes L, F or D"),
        (fcs(X, NAMES, changes={"$BYTEORD": "3,4,1,2"}), r"\$BYTEORD 3,4,1,2"),
        (fcs(X * np.inf, NAMES), "infinite or NaN"),
    ],
)
def test_broken_fcs_files_are_refused(tmp_path, content, sentence):
    path = tmp_path / "a.fcs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_fcs(path)


def teapots(pixels):
    """Variables as in Teapots.mat: a structure whose first field has an image a column."""
    return {"Input": {"first": pixels, "second": np.arange(3.0)}}


def coil(**changes):
    """Variables as in COIL20.mat: every pixel of object o, view v, row r, column c is (o + 2 v + 3 r + 5 c) mod 256."""
    o, v, r, c = np.ix_(range(20), range(72), range(32), range(32))
    images = ((o + 2 * v + 3 * r + 5 * c) % 256).astype(np.uint8).reshape(1440, 32, 32)
    numbers = np.repeat(np.arange(1, 21, dtype=np.uint8), 72)[:, None]
    return {"X": images.transpose(0, 2, 1).reshape(1440, 1024), "Y": numbers, "im_height": 32} | changes


def test_coil20_comes_out_upright(tmp_path):
    savemat(tmp_path / "c.mat", coil())
    x, objects, views = read_coil20(tmp_path / "c.mat")
    assert (x.dtype, x.shape) == (np.uint8, (1440, 32, 32))
    assert x.flags.c_contiguous
    r, c = np.mgrid[:32, :32]
    for image, o, v in zip(x, objects, views, strict=True):
        np.testing.assert_array_equal(image, (o + 2 * v + 3 * r + 5 * c) % 256)
    assert sorted(set(zip(objects.tolist(), views.tolist(), strict=True))) == [
        (o, v) for o in range(20) for v in range(72)
    ]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (coil(X=np.zeros((1440, 1024))), r"X float64 \[1440, 1024\], it takes uint8"),
        (coil(X=np.zeros((3, 1024), np.uint8)), r"X uint8 \[3, 1024\]"),
        (coil(Y=np.zeros((1440, 1), np.uint8)), "objects Y in another order, it takes 72 views of each of 1 to 20"),
        ({"X": 1}, "lacks the variable X or Y"),
    ],
)
def test_other_matlab_files_are_refused(tmp_path, variables, sentence):
    savemat(tmp_path / "c.mat", variables)
    with pytest.raises(InputError, match=sentence):
        read_coil20(tmp_path / "c.mat")


def test_files_that_are_missing_or_broken_are_refused(tmp_path):
    for reader in (read_fcs, read_coil20, partial(read_teapots, side=28)):
        with pytest.raises(InputError, match="there is no file"):
            reader(tmp_path / "none")
    whole = {read_coil20: coil(), partial(read_teapots, side=28): teapots(np.zeros((23028, 400), np.uint8))}
    for reader, variables in whole.items():
        savemat(tmp_path / "c.mat", variables)
        content = (tmp_path / "c.mat").read_bytes()
        for broken in (b"", b"no matlab file at all", content[:5000]):
            (tmp_path / "c.mat").write_bytes(broken)
            with pytest.raises(InputError, match="cannot be read as a MATLAB file"):
                reader(tmp_path / "c.mat")


def test_teapots_come_out_upright(tmp_path):
    v, r, c, colour = np.ix_(range(400), range(76), range(101), range(3))
    images = (v // 4 + r + 20 * (c > 50) + 15 * colour).astype(np.uint8)
    # Column by column and colour by colour, as MATLAB has them.
    savemat(tmp_path / "t.mat", teapots(np.stack([image.ravel(order="F") for image in images], axis=1)))
    x = read_teapots(tmp_path / "t.mat", 28)
    assert (x.dtype, x.shape) == (np.uint8, (400, 28, 28, 3))
    # What rises evenly is after resampling what it is at the middles of the new pixels.
    rows, columns = (np.arange(28) + 0.5) * 76 / 28 - 0.5, (np.arange(28) + 0.5) * 101 / 28 - 0.5
    expected = v // 4 + rows[None, :, None, None] + 20 * (columns[None, None, :, None] > 50) + 15 * colour
    away = np.abs(columns - 50.5) > 101 / 28
    np.testing.assert_allclose(x[:, 1:-1, away], expected[:, 1:-1, away], atol=1.01)


@pytest.mark.parametrize(
    "variables",
    [
        {"X": np.zeros((23028, 400), np.uint8)},
        {"Input": np.zeros((23028, 400), np.uint8)},
        {"Input": np.zeros((0, 0))},
        teapots(np.zeros((23028, 400))),
        teapots(np.zeros((400, 23028), np.uint8)),
    ],
)
def test_other_files_of_teapots_are_refused(tmp_path, variables):
    savemat(tmp_path / "t.mat", variables)
    with pytest.raises(InputError, match=r"lacks a structure Input that begins with uint8 \[23028, 400\]"):
        read_teapots(tmp_path / "t.mat", 28)
