"""Readers of USPS, Enron, citation graphs and photos: what they read, and broken files against their sentences."""

import codecs
import gzip
import io
import pickle
import struct
import tarfile
from collections import defaultdict

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import sparse

from interneuron import citations, data, graphs
from interneuron.errors import InputError

rng = np.random.default_rng(0)


def archive(members, mode="w"):
    """Bytes of a tar with members by name."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def write(tmp_path):
    """write(content, name) -> path."""

    def write(content, name="file"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


# USPS


def usps(rows):
    return "".join(" ".join(map(str, row)) + " \n" for row in rows).encode()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ends", [b" \n", b"\r\n", b"\n\n"])
def test_usps_comes_back(write, packed, ends):
    x = rng.integers(-1000, 1001, (3, 256)) / 1000
    content = usps([["6.0000", *x[0]], ["9", *x[1]], ["0", *x[2]]]).replace(b" \n", ends)
    if ends == b"\r\n":
        content = codecs.BOM_UTF8 + content
    found, y = data.read_usps(write(gzip.compress(content) if packed else content))
    assert (found.dtype, y.dtype, y.tolist()) == (np.float32, np.int64, [6, 9, 0])
    np.testing.assert_allclose(found, x.reshape(3, 16, 16), atol=1e-7)


def test_usps_that_is_none(write, tmp_path):
    row = [3, *[0.5] * 256]
    whole = gzip.compress(usps([row] * 40), mtime=0)
    for content, says in (
        (usps([row[:-1]]), "256 columns; it takes a digit and 256 grey values"),
        (b"", "1 columns"),
        (usps([[10, *row[1:]]]), "a digit that is not 0 to 9"),
        (usps([[2.5, *row[1:]]]), "a digit that is not 0 to 9"),
        (usps([[*row[:-1], 1.5]]), "a grey value that is not in -1 to 1"),
        (usps([[*row[:-1], "nan"]]), "a grey value that is not in -1 to 1"),
        (usps([[*row[:-1], "x"]]), "not a whole table of numbers between spaces"),
        (usps([row, row[:-1]]), "not a whole table of numbers between spaces"),
        (whole[:-9], "not a whole table of numbers between spaces"),
    ):
        with pytest.raises(InputError, match=says):
            data.read_usps(write(content))
    with pytest.raises(InputError, match="there is no file"):
        data.read_usps(tmp_path / "absent")


# Enron

MAILS = {
    "enron1/spam/02.txt": "Subject: buy\nbuy now ! caf\xe9".encode("latin-1"),
    "enron1/Summary.txt": b"Total: 3",
    "enron1/ham/03.txt": b"Subject: gas\ngas for now",
    "enron1/ham/01.txt": b"Subject: 2 gas",
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_enron_comes_back_in_order(write, mode):
    texts, y, names = data.read_enron(write(archive(MAILS, mode)))
    assert names == ["ham/01.txt", "ham/03.txt", "spam/02.txt"]
    assert y.tolist() == [0, 0, 1]
    assert texts[2] == "Subject: buy\nbuy now ! café"
    assert data.vocabulary(texts, 4) == ["gas", "buy", "now", "café"]
    np.testing.assert_array_equal(
        data.word_counts(texts, ["gas", "buy", "now"]), np.array([[1, 0, 0], [2, 0, 1], [0, 2, 1]])
    )


def test_words_are_tokens_of_letters():
    assert data.vocabulary(["Gas gas b2 , subject: a-b oil"], 2) == ["gas", "oil"]
    np.testing.assert_array_equal(data.word_counts(["gas GAS oil", ""], ["oil", "gas"]), [[1, 2], [0, 0]])
    for size in (0, 3):
        with pytest.raises(InputError, match=f"{size} words asked of texts with 2 different ones"):
            data.vocabulary(["gas gas b2 oil"], size)


def test_weighted_counts_by_the_formulas():
    c = np.random.default_rng(0).poisson(0.7, (40, 6)).astype(np.float32)
    c[0] = 0
    train = np.arange(40) % 3 > 0
    has = c > 0
    idf = 1 + np.log((1 + train.sum()) / (1 + has[train].sum(axis=0)))
    expected = {"counts": c, "binary": has, "log": np.where(has, 1 + np.log(np.where(has, c, 1)), 0), "tf-idf": c * idf}
    assert set(expected) == set(data.WEIGHTINGS)
    for weighting, want in expected.items():
        found = data.weighted_counts(c, weighting, among=train)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, want, rtol=1e-6)
        length = np.sqrt((want.astype(float) ** 2).sum(axis=1, keepdims=True))
        unit = data.weighted_counts(c, weighting, unit=True, among=train)
        np.testing.assert_allclose(unit, want / np.where(length > 0, length, 1), rtol=1e-6)


def test_weighted_counts_refuse():
    for arguments, says in (
        ((np.ones((2, 2)), "tfidf"), "weighting is 'tfidf'; it takes 'counts', 'binary', 'log', 'tf-idf'"),
        ((-np.ones((2, 2)),), "counts go down to -1, and take 0 or more"),
        ((np.ones((2, 2)), "tf-idf", False, [0, 0]), "no text is marked; tf-idf takes some to count words in"),
        ((np.ones((2, 2)), "tf-idf", False, [1]), "marks of texts"),
    ):
        with pytest.raises(InputError, match=says):
            data.weighted_counts(*arguments)


def test_enron_that_is_none(write, tmp_path):
    whole = archive(MAILS, "w:gz")
    for content, says in (
        (whole[:-30], "not a whole tar archive|ends within"),
        (archive(MAILS)[:700], "not a whole tar archive|ends within"),
        (b"Subject: no archive", "not a whole tar archive"),
        (b"<html>404</html>", r"is a web page \(HTML\), not the file itself: fetch it again"),
        (b"PK\3\4 archive", "is a zip archive: unpack it first"),
        (b"\xfd7zXZ\0 archive", "is compressed by xz: unpack it first"),
        (whole[:-8] + bytes(8), "not a whole tar archive"),
        (b"", "not a whole tar archive"),
        (archive({"a/ham/1.txt": b"x"}), "1 mails in a folder ham, 0 in spam; it takes some of both"),
        (archive({"a/readme": b"x"}), "0 mails in a folder ham, 0 in spam"),
    ):
        with pytest.raises(InputError, match=says):
            data.read_enron(write(content))
    with pytest.raises(InputError, match="there is no file"):
        data.read_enron(tmp_path / "absent")


# Planetoid, in pickles as Python 2 wrote them


def text(value):
    content = value.encode("latin-1") if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(content)) + content


def number(value):
    return b"J" + struct.pack("<i", value)


def array(a):
    a = np.ascontiguousarray(a)
    kind = b"cnumpy\ndtype\n" + text(a.dtype.str[1:]) + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + text("<") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text("b") + b"\x87R"
    shape = b"(" + b"".join(map(number, a.shape)) + b"t"
    return made + b"(" + number(1) + shape + kind + b"\x89" + text(a.tobytes()) + b"tb"


def csr(matrix):
    m = sparse.csr_matrix(matrix)
    state = {"data": m.data, "indices": m.indices, "indptr": m.indptr}
    items = b"".join(text(key) + array(value) for key, value in state.items())
    shape = text("_shape") + b"(" + number(m.shape[0]) + number(m.shape[1]) + b"t"
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + items + shape + b"ub"


def adjacency(lists):
    content = b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R("
    for key, others in lists.items():
        content += number(key) + b"](" + b"".join(map(number, others)) + b"e"
    return content + b"u"


def pickled(content):
    return b"\x80\x02" + content + b"."


WORDS = (rng.random((706, 7)) < 0.4).astype(np.float32)
CLASSES = np.append(np.arange(702) % 3, [2, 1, 0, 0])
# Test papers are 702, 703 and 705, shuffled; 704 is missing.
TEST = [705, 702, 703]
LISTS = {i: [(i + 1) % 706, (i - 1) % 706] for i in range(706)} | {5: [6, 4, 5, 6]}


def planetoid(**changed):
    one_hot = np.eye(3, dtype=np.int32)
    parts = {
        "x": csr(WORDS[:9]),
        "y": array(one_hot[CLASSES[:9]]),
        "allx": csr(WORDS[:702]),
        "ally": array(one_hot[CLASSES[:702]]),
        "tx": csr(WORDS[TEST]),
        "ty": array(one_hot[CLASSES[TEST]]),
        "graph": adjacency(LISTS),
    }
    files = {what: pickled(content) for what, content in (parts | changed).items() if what != "index"}
    return files | {"test.index": "\r\n".join(map(str, changed.get("index", TEST))).encode() + b"\r\n\r\n"}


@pytest.fixture
def folder(tmp_path):
    """folder(files) -> folder with them as ind.small.<part>."""

    def folder(files):
        for what, content in files.items():
            (tmp_path / f"ind.small.{what}").write_bytes(content)
        return tmp_path

    return folder


def test_planetoid_comes_back(folder):
    found = citations.read_planetoid(folder(planetoid()), "small")
    words = WORDS.copy()
    words[704] = 0
    np.testing.assert_array_equal(found.x.toarray(), words)
    assert isinstance(found.x, sparse.csr_array)
    assert found.x.dtype == np.float32
    np.testing.assert_array_equal(found.y, np.where(np.arange(706) == 704, -1, CLASSES))
    assert found.links.tolist() == [[i, other] for i in range(706) for other in LISTS[i]]
    assert found.train.tolist() == list(range(9))
    assert found.validation.tolist() == list(range(9, 509))
    assert found.test.tolist() == [702, 703, 705]


class Harmful:
    def __reduce__(self):
        return (open, ("harm", "w"))


@pytest.mark.parametrize(
    ("what", "content", "names"),
    [
        ("x", pickle.dumps(Harmful(), 2), "_io.open|io.open|__builtin__.open"),
        ("graph", b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        ("y", b"cnumpy\nload\n.", "numpy.load"),
        ("allx", b"cbuiltins\neval\n.", "builtins.eval"),
        ("ty", b"c__builtin__\ngetattr\n.", "__builtin__.getattr"),
        ("tx", b"cscipy.sparse.csr\nnp.load\n.", "scipy.sparse.csr.np.load"),
        ("y", b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
    ],
)
def test_pickles_that_ask_for_code_are_refused(folder, tmp_path, monkeypatch, what, content, names):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"ind.small.{what} asks for ({names}), which is none of the classes"):
        citations.read_planetoid(folder(planetoid() | {what: content}), "small")
    assert not (tmp_path / "harm").exists()


def test_pickled_arrays_are_made_empty_first(folder):
    for shape in (number(10**6) + b"\x85", text("x")):
        content = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + shape + text("b") + b"\x87R"
        with pytest.raises(InputError, match="an array that is not made empty first"):
            citations.read_planetoid(folder(planetoid(y=content)), "small")
    for kind in (b"cnumpy\ndtype\n", b"c__builtin__\nlist\n"):
        content = b"cnumpy.core.multiarray\n_reconstruct\n" + kind + number(0) + b"\x85" + text("b") + b"\x87R"
        with pytest.raises(InputError, match="an array that is not made empty first"):
            citations.read_planetoid(folder(planetoid(y=content)), "small")
    with pytest.raises(InputError, match="not a whole pickle"):
        citations.read_planetoid(folder(planetoid(y=b"cnumpy\nndarray\n" + number(3) + b"\x85R")), "small")


def one_hot(rows, labels=CLASSES):
    return array(np.eye(3, dtype=np.int32)[labels[rows]])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x": csr(WORDS[:9, :5])}, "not of the same papers"),
        ({"y": one_hot(slice(8))}, "not of the same papers"),
        ({"ty": one_hot(slice(2))}, "not of the same papers"),
        ({"x": csr(WORDS[:300]), "y": one_hot(slice(300))}, "or of too few"),
        ({"y": array(np.ones((9, 3)))}, "ind.small.y is no table with one 1 in each row"),
        ({"y": array(np.full((9, 3), np.nan))}, "ind.small.y is no table"),
        ({"y": array(np.zeros(9))}, "ind.small.y is no table"),
        ({"y": csr(WORDS)}, "ind.small.y is no table"),
        ({"x": array(WORDS[:9])}, "ind.small.x is no CSR matrix"),
        ({"index": [705, 702]}, "not one number for each test paper, from 702 on"),
        ({"index": [705, 702, 702]}, "not one number for each test paper"),
        ({"index": [705, 703, 704]}, "not one number for each test paper"),
        ({"index": [705, 702, "x"]}, "test.index has a line that is no whole number"),
        ({"graph": adjacency(LISTS | {7: [900]})}, "a neighbour that is none of papers 0 to 705"),
        ({"graph": adjacency({i: [0] for i in range(705)})}, "not one list of neighbours for each of papers 0 to 705"),
        ({"graph": array(np.zeros(3))}, "not one list of neighbours"),
    ],
)
def test_planetoid_parts_that_do_not_fit(folder, changed, says):
    with pytest.raises(InputError, match=says):
        citations.read_planetoid(folder(planetoid(**changed)), "small")


def test_planetoid_with_broken_matrices_and_files(folder):
    m = sparse.csr_matrix(WORDS[:9])
    for key, value in (("indices", m.indices + 100), ("indptr", m.indptr[::-1].copy()), ("data", m.data[:-2])):
        broken = m.copy()
        setattr(broken, key, value)
        items = {name: getattr(broken, name) for name in ("data", "indices", "indptr")}
        content = b"cscipy.sparse.csr\ncsr_matrix\n)\x81}("
        content += b"".join(text(name) + array(part) for name, part in items.items())
        content += text("_shape") + b"(" + number(9) + number(7) + b"tub"
        with pytest.raises(InputError, match=r"ind\.small\.x is no CSR matrix"):
            citations.read_planetoid(folder(planetoid(x=content)), "small")
    whole = planetoid()
    for cut in (0, 1, 2, 60, len(whole["allx"]) // 2, len(whole["allx"]) - 1):
        with pytest.raises(InputError, match=r"ind\.small\.allx is not a whole pickle"):
            citations.read_planetoid(folder(whole | {"allx": whole["allx"][:cut]}), "small")
    path = folder(whole)
    (path / "ind.small.ty").unlink()
    with pytest.raises(InputError, match=r"there is no file .*ind.small.ty"):
        citations.read_planetoid(path, "small")


def test_default_dict_of_lists_is_one():
    content = pickled(adjacency({0: [1], 1: [0]}))
    found = citations._Unpickler(io.BytesIO(content), encoding="latin1").load()
    assert found == defaultdict(list, {0: [1], 1: [0]})


# a graph that comes with networkx


def test_karate_club_is_zacharys():
    club = citations.karate_club()
    w = graphs.from_links(club.links, 34)
    assert (len(club.links), w.nnz) == (78, 156)
    assert np.array_equal(club.x.toarray(), np.eye(34))
    # Member 1 is the instructor and member 34 the officer, numbered from 1; nobody but they met so many.
    assert (club.y[0], club.y[33], club.y.sum()) == (0, 1, 17)
    assert set(np.argsort(graphs.degrees(w))[-2:]) == {0, 33}


# photos


def encoded(image, kind="PNG", **more):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(40, 60, 3), (61, 30, 3), (32, 32), (20, 90, 4)])
def test_photos_as_torchvision_makes_them(write, shape):
    from interneuron._torchvision import import_torchvision

    transforms = import_torchvision().transforms
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    if shape[2:] == (4,):
        pixels[..., 3] = 255
    content = encoded(pixels)
    want = transforms.Resize(24)(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(data.read_photo(content, 24), np.asarray(want))
    want = transforms.CenterCrop(17)(want)
    np.testing.assert_array_equal(data.read_photo(write(content, "photo"), 24, 17), np.asarray(want))


# Of every grey value 257 v in 16 bits the upper byte is v; Pillow's own conversion clips them at 255.
GREY = np.arange(256, dtype=np.uint16).reshape(16, 16)
DEEP = GREY * 257


def tiff(pixels, **more):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **more)
    return file.getvalue()


def saved(image, kind, **more):
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def twelve_bits(pixels):
    """A TIFF of 12 bits a pixel, little-endian, written by hand: three bytes hold two pixels."""
    even, odd = pixels.ravel()[::2], pixels.ravel()[1::2]
    strip = np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], 1).astype(np.uint8).tobytes()
    h, w = pixels.shape
    tags = {256: w, 257: h, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: h, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(DEEP), GREY),
        (tiff(DEEP, byteorder="<"), GREY),
        (tiff(DEEP, byteorder=">"), GREY),
        (tiff(DEEP, photometric="miniswhite"), 255 - GREY),
        (twelve_bits(GREY * 16 + 15), GREY),
        (tiff(np.stack([DEEP, DEEP.T, DEEP], -1), photometric="rgb"), np.stack([GREY, GREY.T, GREY], -1)),
        (b"P5 16 16 65535\n" + DEEP.astype(">u2").tobytes(), GREY),
        (tiff(GREY.astype(np.uint8), photometric="miniswhite"), 255 - GREY),
        (saved(Image.fromarray(GREY > 99), "PNG"), np.where(GREY > 99, 255, 0)),
        (saved(Image.fromarray(GREY.astype(np.uint8)).convert("LA"), "PNG"), GREY),
        (saved(Image.fromarray(GREY.astype(np.uint8)).convert("P"), "GIF"), GREY),
        (saved(Image.new("CMYK", (16, 16), (255, 0, 51, 0)), "TIFF"), np.full((16, 16, 3), [0, 255, 204])),
        (saved(Image.new("CMYK", (16, 16), (0, 0, 0, 51)), "TIFF"), np.full((16, 16, 3), 204)),
        (saved(Image.new("YCbCr", (16, 16), (90, 128, 128)), "TIFF"), np.full((16, 16, 3), 90)),
        (saved(Image.new("LAB", (16, 16), (128, 128, 128)), "TIFF"), np.full((16, 16, 3), 119)),
    ],
)
def test_pictures_of_every_depth_and_mode_keep_their_values(content, expected):
    np.testing.assert_array_equal(
        data.read_photo(content, 16), np.broadcast_to(expected.T, (3, *expected.T.shape[-2:])).T
    )


def transparent(mode):
    image = Image.new("RGBA", (8, 8), (9, 8, 7, 255))
    image.putpixel((3, 4), (200, 100, 50, 128 if mode in ("RGBA", "LA", "PA") else 0))
    return image if mode in ("RGBA", "none") else image.convert(mode)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (tiff(np.ones((8, 8), np.float32)), r"32-bit numbers \(mode F\), whose white is not known; a photo takes uns"),
        (tiff(np.ones((8, 8), np.uint32)), r"32-bit numbers \(mode I\)"),
        (tiff(np.ones((8, 8), np.int16)), r"signed numbers \(mode I\)"),
        (tiff(np.ones((8, 8), np.int8)), r"signed numbers \(mode L\)"),
        (tiff(np.ones((8, 8), np.float64)), "not a whole image .* of no format that Pillow knows"),
        (encoded(DEEP, transparency=771), "has transparent pixels; a photo takes colours everywhere"),
        (saved(transparent("RGBA"), "PNG"), "has transparent pixels"),
        (saved(transparent("LA"), "PNG"), "has transparent pixels"),
        (saved(transparent("PA"), "TIFF"), "has transparent pixels"),
        (saved(transparent("none"), "GIF"), "has transparent pixels"),
        (saved(Image.new("P", (8, 8)), "PNG", transparency=0), "has transparent pixels"),
        (saved(Image.new("L", (8, 8)), "PNG", transparency=0), "has transparent pixels"),
        (
            saved(Image.new("L", (8, 8)), "GIF", save_all=True, append_images=[Image.new("L", (8, 8), 9)]),
            "has 2 frames; a photo takes one",
        ),
        (b"<!DOCTYPE html><p>404", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    ],
)
def test_pictures_without_certain_colours_are_refused(write, content, says):
    with pytest.raises(InputError, match=says) as refused:
        data.read_photo(write(content, "photo"), 8)
    assert "0x" not in str(refused.value)
    with pytest.raises(InputError, match=says):
        data.read_photo(content, 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(kind, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    upright[:8, 8:16] = 128
    # How a camera that was held like that stores it (EXIF 2.32, table 6).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = data.read_photo(encoded(np.ascontiguousarray(stored), kind, exif=exif), 16)
    np.testing.assert_allclose(x.astype(int), upright, atol=3 if kind == "JPEG" else 0)


def test_a_cameras_preview_is_no_second_frame():
    image = Image.fromarray(GREY.astype(np.uint8))
    content = saved(image, "MPO", save_all=True, append_images=[image], quality=100, subsampling=0)
    np.testing.assert_allclose(data.read_photo(content, 16)[..., 0].astype(int), GREY, atol=2)


def test_archives_of_photos(write):
    images = {name: rng.integers(0, 256, (10, 12, 3), dtype=np.uint8) for name in ("b/dogs/1.PNG", "a/cats/9.tif")}
    members = {name: encoded(image, "PNG" if "PNG" in name else "TIFF") for name, image in images.items()}
    # What macOS adds for each file, by its name a photo.
    members |= {"a/readme.txt": b"x", "a/cats/._9.tif": b"\0\5\x16\7"}
    x, y, names = data.read_photos(write(archive(members)), 10, 8)
    assert (x.dtype, x.shape, names, y.tolist()) == (np.uint8, (2, 8, 8, 3), ["a/cats/9.tif", "b/dogs/1.PNG"], [0, 1])
    np.testing.assert_array_equal(x[1], images["b/dogs/1.PNG"][1:9, 2:10])


def test_archives_with_names_twice_and_links_are_refused(write):
    photo = encoded(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8))
    twice = archive({"a/1.png": photo}).rstrip(b"\0")
    twice += bytes(-len(twice) % 512) + archive({"a/1.png": photo})
    with pytest.raises(InputError, match=r"has two photos a/1\.png; it takes one of each name"):
        data.read_photos(write(twice, "tar"), 10, 8)
    with pytest.raises(InputError, match=r"has two mails ham/1\.txt; it takes one of each name"):
        data.read_enron(write(archive({"a/ham/1.txt": b"x", "b/ham/1.txt": b"y", "a/spam/1.txt": b"z"}), "tar"))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        link = tarfile.TarInfo("a/2.png")
        link.type, link.linkname = tarfile.LNKTYPE, "a/1.png"
        tar.addfile(link)
    with pytest.raises(InputError, match=r"a/2\.png is a link to a/1\.png; it takes files"):
        data.read_photos(write(file.getvalue(), "tar"), 10, 8)


def test_photos_that_are_none(write, tmp_path):
    jpeg = encoded(rng.integers(0, 256, (50, 50, 3), dtype=np.uint8), "JPEG")
    for content in (jpeg[: len(jpeg) // 2], jpeg[:10], b"", b"no image"):
        with pytest.raises(InputError, match="photo is not a whole image that Pillow reads"):
            data.read_photo(write(content, "photo"), 20)
        with pytest.raises(InputError, match=r"a/1\.jpg: a photo is not a whole image"):
            data.read_photos(write(archive({"a/1.jpg": content}), "tar"), 20, 20)
    with pytest.raises(InputError, match="there is no file"):
        data.read_photo(tmp_path / "absent", 20)
    with pytest.raises(InputError, match="side is 20 and crop 21; a photo takes 1 <= crop <= side"):
        data.read_photo(jpeg, 20, 21)
    with pytest.raises(InputError, match=r"has no photos \(.jpg, .jpeg, .png, .ppm"):
        data.read_photos(write(archive({"a/b.gif": jpeg})), 20, 20)
    with pytest.raises(InputError, match="not a whole tar archive"):
        data.read_photos(write(archive({"a/1.jpg": jpeg})[:600]), 20, 20)
