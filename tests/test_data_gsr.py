"""Readers of FCS, COIL-20 and the teapot, on files written here."""

import gzip
from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from interneuron.data_gsr import read_coil20, read_fcs, read_teapots
from interneuron.errors import InputError


def fcs(x, names, *, form="<f8", separator="/", version="FCS3.1", changes=None, place=None, beyond=False, cut=0):
    """Bytes of an FCS file of x [cells, markers], or of rows as they are."""
    kind, order = ("D" if form[2] == "8" else "F"), ("1,2,3,4" if form[0] == "<" else "4,3,2,1")
    data = x.astype(form).tobytes() if isinstance(x, np.ndarray) else b"".join(x)
    first, last = 1024, 1024 + len(data) - 1
    keywords = {"$MODE": "L", "$DATATYPE": kind, "$BYTEORD": order, "$TOT": len(x), "$PAR": len(names)}
    keywords |= {"$BEGINDATA": first, "$ENDDATA": last}
    keywords |= {f"$P{i + 1}N": name.replace(separator, separator * 2) for i, name in enumerate(names)}
    keywords |= changes or {}
    keywords = {name: value for name, value in keywords.items() if value is not None}
    text = separator + "".join(f"{name}{separator}{value}{separator}" for name, value in keywords.items())
    text = text.encode("latin-1")
    place = (0, 0) if beyond else place or (first, last)
    header = f"{version:<10}" + "".join(f"{offset:>8}" for offset in (256, 256 + len(text) - 1 - cut, *place, 0, 0))
    return header.encode().ljust(256) + text.ljust(1024 - 256) + data + b"\n"


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
        (b"", "is no FCS file: it begins with b'', it takes FCS2.0 or FCS3.0 to FCS3.2"),
        (fcs(X, NAMES, version="FCS1.0"), "begins with b'FCS1.0'"),
        (b"<!doctype html><html>", "is a web page"),
        (b"FCS3.1    " + 48 * b"x", "broken FCS header"),
        (b"FCS3.1    " + 4 * b"      12", "broken FCS header"),
        (fcs(X, NAMES, changes={"$TOT": None}), r"lacks the keyword \$TOT"),
        (fcs(X, NAMES, changes={"$P3N": None}), r"lacks the keyword \$P3N"),
        (fcs(X, NAMES, changes={"$TOT": "many"}), r"has \$TOT 'many', it takes a whole number"),
        (fcs(X, NAMES, changes={"$TOT": 0}), "has 0 cells and 3 markers"),
        (fcs(X, NAMES, changes={"$TOT": 8}), "announces 8 cells of 3 markers = 192 bytes, but its data are 168 from"),
        (fcs(X, NAMES, changes={"$TOT": 6}), "announces 6 cells of 3 markers = 144 bytes, but its data are 168 from"),
        (fcs(X, NAMES)[:-30], "announces 7 cells"),
        (fcs(X, NAMES, changes={"$DATATYPE": "A"}), r"\$DATATYPE A and .*, it takes L, F, D or I"),
        (fcs(X, NAMES, changes={"$MODE": "H"}), r"\$MODE H, .*, it takes L"),
        (fcs(X, NAMES, changes={"$BYTEORD": "3,4,1,2"}), r"\$BYTEORD 3,4,1,2"),
        (fcs(X, NAMES, changes={"$BYTEORD": "2,1,4,3"}), r"\$BYTEORD 2,1,4,3"),
        (fcs(X * np.inf, NAMES), "infinite or NaN"),
        (fcs(X * 1e300, NAMES), "infinite or NaN as float32"),
        (fcs(X, NAMES, cut=7), r"lacks the keyword \$P3N"),
        (fcs(X, ["a", "", "c"]), r"has \$P2N '', it takes a name of each marker"),
        (fcs(X, ["a", "b", "a"]), "has two markers 'a', it takes one of each name"),
        (fcs(X, NAMES, changes={"$P2B": 32}), r"has \$P2B 32 and \$DATATYPE D, it takes"),
        (fcs(X, NAMES, changes={"$P2E": "4,1"}), r"has floats and \$P2E 4,1, it takes 0,0"),
        (fcs(X, NAMES, changes={"$P2DATATYPE": "I"}), r"has \$P2DATATYPE I and \$DATATYPE D"),
        (fcs(X, NAMES, changes={"$tot": 6}), r"has \$TOT twice, as '7' and '6', it takes one"),
        (fcs(X, NAMES, changes={"$NEXTDATA": 1025}, place=(1024, 1191))[:1025] + fcs(X, NAMES), "a second data set"),
        (fcs(X, NAMES, cut=3), r"a text that goes on behind byte \d+, where its header lets it end"),
        (
            fcs(X, NAMES, place=(270, 270 + 167), changes={"$BEGINDATA": 270, "$ENDDATA": 270 + 167}),
            r"has its data at bytes 270 to 437 by its header or text, but its text at 256 to \d+: they take places",
        ),
        (fcs(X, NAMES).replace(b" 256 ", b" 257 ", 1), "no text with a separator begins at byte 257"),
        (fcs(X, NAMES, changes={"$BEGINDATA": 1025, "$ENDDATA": 1192}), "at byte 1,024 by its header and 1,025 by its"),
        (fcs(X, NAMES, place=(0, 0), changes={"$BEGINDATA": 0, "$ENDDATA": 0}), "does not say where its data begin"),
        (fcs([b"abc"] * 3, ["a"], changes={"$DATATYPE": "I", "$P1B": 10, "$P1R": 9}), r"has \$P1B 10 and \$DATATYPE I"),
        (
            fcs([b"abc"] * 3, ["a"], changes={"$DATATYPE": "I", "$P1B": 24, "$P1R": 0}),
            r"has \$P1R '0', it takes a number",
        ),
        (fcs([b"abc"] * 3, ["a"], changes={"$DATATYPE": "I", "$P1B": 24}), r"lacks the keyword \$P1R"),
    ],
)
def test_broken_fcs_files_are_refused(tmp_path, content, sentence):
    path = tmp_path / "a.fcs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_fcs(path)


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"])
@pytest.mark.parametrize(
    ("separator", "changes", "names"),
    [
        ("/", {"$P1S": "", "$P3S": ""}, NAMES),
        ("/", {"$FIL": "a//b//", "$CYT": "", "$OP": "//"}, NAMES),
        ("\\", {"$FIL": "C:\\\\data\\\\"}, NAMES),
        # A folder that ends with its separator, not doubled.
        ("\\", {"$FIL": "data\\", "$P1N": "CD4"}, NAMES),
        ("*", {"$P2N": "CD8**"}, ["CD4", "CD8*", "TCRb"]),
        ("|", {"$P2N": "", "$P2S": "CD8/a"}, NAMES),
        ("|", {"$P2N": "CD8 \xb5g"}, ["CD4", "CD8 \xb5g", "TCRb"]),
        ("|", {"$P2N": "\u03b1".encode().decode("latin-1")}, ["CD4", "\u03b1", "TCRb"]),
        ("|", {"$TOT": "  7 ", "$PAR": "3\0", "$BYTEORD": "1, 2, 3, 4"}, NAMES),
        ("|", {"$MODE": "l", "$DATATYPE": "d"}, NAMES),
        ("|", {"$NEXTDATA": 1193}, NAMES),
        ("\x1e", {"$BEGINSTEXT": 0, "$ENDSTEXT": 0}, NAMES),
    ],
)
def test_texts_as_instruments_write_them(tmp_path, version, separator, changes, names):
    path = tmp_path / "a.fcs"
    content = fcs(X, NAMES, version=version, separator=separator, changes=changes)
    for written in (content, gzip.compress(content), content.replace(b"$PAR", b"$par").replace(b"$P3N", b"$p3n")):
        path.write_bytes(written)
        x, found = read_fcs(path)
        np.testing.assert_array_equal(x, X.astype(np.float32))
        assert found == names


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ((0, 0), (1024, 1191)),
        ((1024, 1191), (0, 0)),
        ((1024, 1191), (None, None)),
        ((1024, 1192), (1024, 1191)),
        ((1024, 1190), (1024, 1190)),
        ((1024, 0), (1024, 1191)),
        ((1030, 1197), (1024, 1191)),
        ((1024, 1191), (1030, 1197)),
        ((1024, 1191), ("", "")),
        ((256, 423), (1024, 1191)),
        (("", ""), (" 1024", "00001191 ")),
        ((1024, 1191), (99999, 100166)),
    ],
)
def test_data_are_found_where_header_or_text_is_wrong(tmp_path, place, text):
    path = tmp_path / "a.fcs"
    path.write_bytes(fcs(X, NAMES, place=place, changes={"$BEGINDATA": text[0], "$ENDDATA": text[1]}))
    np.testing.assert_array_equal(read_fcs(path)[0], X.astype(np.float32))


def test_old_files_and_short_headers_and_supplements(tmp_path):
    path = tmp_path / "a.fcs"
    path.write_bytes(fcs(X, NAMES, version="FCS2.0", changes={"$TOT": None}))
    assert read_fcs(path)[0].shape == (7, 3)
    path.write_bytes(fcs(X, NAMES, version="FCS3.2", changes={"$MODE": None}))
    assert read_fcs(path)[0].shape == (7, 3)
    for cut in (1, 2):
        path.write_bytes(fcs(X, NAMES, cut=cut))
        assert read_fcs(path)[1] == NAMES
    extra = b"/$P2S/of a supplement/"
    changes = {"$BEGINSTEXT": 1193, "$ENDSTEXT": 1193 + len(extra) - 1, "$P2N": None}
    path.write_bytes(fcs(X, NAMES, changes=changes) + extra)
    assert read_fcs(path)[1] == ["CD4", "of a supplement", "TCRb"]


@pytest.mark.parametrize("order", ["little", "big"])
def test_whole_numbers_are_masked_and_made_linear(tmp_path, order):
    random = np.random.default_rng(0)
    bits, spans = (8, 16, 16, 24, 32, 64, 16), (256, 1000, 65536, 2**24, 2**18, 2**20, 1024)
    written = [random.integers(0, 2**width, 9, np.uint64) for width in bits]
    rows = [
        b"".join(int(v).to_bytes(w // 8, order) for v, w in zip(row, bits, strict=True))
        for row in zip(*written, strict=True)
    ]
    changes = {
        "$DATATYPE": "I",
        "$BYTEORD": "1,2,3,4" if order == "little" else "4,3,2,1",
        "$P7E": "4.0,0.01",
        "$P1E": "",
    }
    changes |= {f"$P{n}B": width for n, width in enumerate(bits, 1)} | {
        f"$P{n}R": span for n, span in enumerate(spans, 1)
    }
    path = tmp_path / "a.fcs"
    path.write_bytes(fcs(rows, [f"c{n}" for n in range(7)], changes=changes))
    x, _ = read_fcs(path)
    expected = [values % 2 ** int(np.ceil(np.log2(span))) for values, span in zip(written, spans, strict=True)]
    np.testing.assert_array_equal(x[:, :6], np.transpose(expected[:6]).astype(np.float32))
    np.testing.assert_allclose(x[:, 6], 10 ** (4 * expected[6] / 1024) * 0.01, rtol=1e-6)
    # An offset of 0 means 1.
    path.write_bytes(fcs(rows, [f"c{n}" for n in range(7)], changes=changes | {"$P7E": "4,0"}))
    np.testing.assert_allclose(read_fcs(path)[0][:, 6], 10 ** (4 * expected[6] / 1024), rtol=1e-6)


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
        (coil(Y="objects"), "objects Y in another order"),
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


def test_the_newest_matlab_files_are_named(tmp_path):
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\0\2IM" + b"\x89HDF\r\n"
    (tmp_path / "c.mat").write_bytes(text)
    with pytest.raises(InputError, match=r"is of MATLAB 7\.3; it takes one that is saved as version 7 or before"):
        read_coil20(tmp_path / "c.mat")


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
