"""Readers of dataset formats, generated data, and splits.

Images are uint8 [samples, height, width], tables float32 [samples, features], classes int64 [samples].
"""

import codecs
import csv
import io
import math
import re
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from interneuron import checks
from interneuron.errors import InputError
from interneuron.io.files import Pathlike, foreign

if TYPE_CHECKING:
    from PIL import Image

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IDX_BYTES, _IDX_WHOLE = (0x08,), (0x08, 0x09, 0x0B, 0x0C)
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_PHOTOS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_DIGIT_PIXELS, _DIGIT_LEVELS, _DIGITS = 64, 16, 10
_USPS_SIDE = 16
WEIGHTINGS = ("counts", "binary", "log", "tf-idf")


def read_idx_images(path: Pathlike, transposed: bool = False) -> np.ndarray:
    """Images of an idx file (`idx3-ubyte`), plain or gzipped.

    Format: http://yann.lecun.com/exdb/mnist/: big-endian uint32 magic 0x00000803 and three sizes, then the bytes.
    `transposed`: each image lies column by column in the file, as EMNIST's do (Cohen et al. 2017); they come upright.

    Returns uint8 [n, height, width]. Raises `InputError` for a missing or broken file, another magic number, or sizes
    that don't match the bytes that follow.
    """
    images = _read_idx(path, 3, "images", _IDX_BYTES)
    return np.ascontiguousarray(images.transpose(0, 2, 1)) if transposed else images


def read_idx_labels(path: Pathlike) -> np.ndarray:
    """Labels of an idx file (`idx1-ubyte`, or of larger whole numbers), plain or gzipped: int64 [n].

    Raises as `read_idx_images` does.
    """
    return _read_idx(path, 1, "labels", _IDX_WHOLE).astype(np.int64)


def read_digits(path: Pathlike) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of scikit-learn's `digits.csv.gz`, in its order.

    Format: 64 pixels of 0 to 16 and the digit, a line an image (Alpaydin and Kaynak, UCI repository, 1998).

    Returns x uint8 [n, 8, 8] and y int64 [n]. Raises `InputError` for a file that is anything else.
    """
    with _reading(path) as file:
        try:
            text = file.read().decode("utf-8-sig")
            table = np.loadtxt(io.StringIO(text.strip() or "0"), delimiter=",", ndmin=2)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise InputError(f"{path} is not a whole table of numbers between commas ({error})") from error
    if table.shape[1] != _DIGIT_PIXELS + 1 or not len(table):
        raise InputError(f"{path} has {table.shape[1]} columns and {len(table)} rows; it takes 64 pixels and a digit")
    x, y = table[:, :-1], table[:, -1]
    if not np.array_equal(table, table.round()) or x.min() < 0 or x.max() > _DIGIT_LEVELS:
        raise InputError(
            f"{path} has a value that is no pixel and no digit; it takes whole numbers, pixels of 0 to {_DIGIT_LEVELS}"
        )
    y = y.astype(np.int64)
    check_classes(x, y, _DIGITS, path)
    return x.reshape(-1, 8, 8).astype(np.uint8), y


def read_usps(path: Pathlike) -> tuple[np.ndarray, np.ndarray]:
    """Images and digits of `zip.train` or `zip.test`, plain or gzipped, in their order.

    Format: a line an image, the digit and 16 x 16 grey values of -1 (background) to 1, between spaces (LeCun et al.
    1990; Hastie, Tibshirani and Friedman, The Elements of Statistical Learning).

    Returns x float32 [n, 16, 16] and y int64 [n]. Raises `InputError` for a file that is anything else.
    """
    with _reading(path) as file:
        try:
            table = np.loadtxt(io.StringIO(file.read().decode("utf-8-sig").strip() or "0"), ndmin=2)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise InputError(f"{path} is not a whole table of numbers between spaces ({error})") from error
    if table.shape[1] != _USPS_SIDE**2 + 1 or not len(table):
        raise InputError(f"{path} has {table.shape[1]} columns; it takes a digit and 256 grey values")
    y, x = table[:, 0], table[:, 1:]
    if not (np.isin(y, np.arange(_DIGITS)).all() and (np.abs(x) <= 1).all()):
        raise InputError(f"{path} has a digit that is not 0 to 9, or a grey value that is not in -1 to 1")
    return x.reshape(-1, _USPS_SIDE, _USPS_SIDE).astype(np.float32), y.astype(np.int64)


def read_enron(path: Pathlike) -> tuple[list[str], np.ndarray, list[str]]:
    """Mails of an Enron-Spam archive (`enron1.tar.gz`), sorted by name; nothing is unpacked.

    Format: text files in Latin-1 in two folders, `ham` and `spam`, tokens between spaces (Metsis, Androutsopoulos and
    Paliouras, CEAS 2006); other members are passed over.

    Returns the texts, y int64 [n] (0 ham, 1 spam) and the names (`ham/0001...txt`). Raises `InputError` for a missing
    or broken archive, one without mails in both folders, and two mails of one name.
    """
    texts: dict[str, str] = {}
    for member, content in _members(path):
        name = "/".join(member.split("/")[-2:])
        if name.startswith(("ham/", "spam/")) and name.endswith(".txt"):
            if name in texts:
                raise InputError(f"{path} has two mails {name}; it takes one of each name")
            texts[name] = content.decode("latin-1")
    names = sorted(texts)
    y = np.array([name.startswith("spam/") for name in names], np.int64)
    if not 0 < y.sum() < len(y):
        raise InputError(f"{path} has {(y == 0).sum()} mails in a folder ham, {y.sum()} in spam; it takes some of both")
    return [texts[name] for name in names], y, names


def vocabulary(texts: Iterable[str], size: int) -> list[str]:
    """The `size` most frequent words of some texts: tokens of letters, in lower case; of equally frequent, by alphabet.

    Raises `InputError` if there are fewer words.
    """
    counts = Counter(word for text in texts for word in _words(text))
    if not 0 < size <= len(counts):
        raise InputError(f"{size} words asked of texts with {len(counts)} different ones")
    return sorted(counts, key=lambda word: (-counts[word], word))[:size]


def word_counts(texts: Sequence[str], words: Sequence[str]) -> np.ndarray:
    """How often each text has each word: float32 [texts, words]."""
    column = {word: number for number, word in enumerate(words)}
    counts = np.zeros((len(texts), len(words)), np.float32)
    for row, text in enumerate(texts):
        for word, count in Counter(_words(text)).items():
            if word in column:
                counts[row, column[word]] = count
    return counts


def weighted_counts(
    counts: ArrayLike, weighting: str = "counts", unit: bool = False, among: ArrayLike | None = None
) -> np.ndarray:
    """What stands for counts c of words in a bag of words: float32 [texts, words], of counts [texts, words].

    `counts`: c; `binary`: 1 where c > 0; `log`: 1 + log c where c > 0; `tf-idf`: c (1 + log((1 + n) / (1 + n_w))), n_w
    of n texts having the word, counted among the texts marked in `among` [texts] (all, if None). `unit`: each text's
    numbers are divided by their Euclidean length. All are scikit-learn's (`TfidfTransformer`).

    Raises `InputError` for another weighting, counts that are no finite numbers of 0 or more, and marks that don't fit.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    if weighting not in WEIGHTINGS:
        raise InputError(f"weighting is {weighting!r}; it takes {', '.join(map(repr, WEIGHTINGS))}")
    found = checks.numbers("counts", counts, "texts", "words", least=1)
    marked = np.ones(len(found), bool) if among is None else checks.marks("marks of texts", among, len(found))
    if found.min(initial=0) < 0:
        raise InputError(f"counts go down to {found.min():g}, and take 0 or more")
    if not marked.any():
        raise InputError("no text is marked; tf-idf takes some to count words in")
    terms = sparse.csr_array((found > 0).astype(np.float64) if weighting == "binary" else found.astype(np.float64))
    how = TfidfTransformer(norm="l2" if unit else None, use_idf=weighting == "tf-idf", sublinear_tf=weighting == "log")
    return how.fit(terms[np.flatnonzero(marked)]).transform(terms).toarray().astype(np.float32)


def read_photo(file: Pathlike | bytes, side: int, crop: int | None = None) -> np.ndarray:
    """A photo in RGB, its shorter side brought to `side` pixels (bilinear, antialiased), the middle `crop` squared.

    file: a path, or an image file's bytes. Returns uint8 [height, width, 3], [crop, crop, 3] with a crop. Sizes as
    torchvision's `Resize` and `CenterCrop` make them.

    A photo is upright, as its EXIF orientation says. Grey is three equal colours, 16 bits keep their upper 8, palettes,
    CMYK, YCbCr and L*a*b* are converted as Pillow does, without a colour profile.

    Raises `InputError` for what Pillow does not read to its end, several frames, transparent pixels (which have no
    colour without a background), numbers without a known white (32 bits or signed), and a crop larger than the side.
    """
    from PIL import Image, UnidentifiedImageError

    if not 1 <= (side if crop is None else crop) <= side:
        raise InputError(f"side is {side} and crop {crop}; a photo takes 1 <= crop <= side")
    where = "a photo" if isinstance(file, bytes) else file
    if not isinstance(file, bytes) and not Path(file).is_file():
        raise InputError(f"there is no file {file}")
    content = file if isinstance(file, bytes) else Path(file).read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = _rgb(opened, where)
    except InputError:
        raise
    # A broken file can fail in any operation.
    except Exception as error:
        known = not isinstance(error, UnidentifiedImageError)
        reason = str(error) if known else f"it {foreign(content) or 'is of no format that Pillow knows'}"
        raise InputError(f"{where} is not a whole image that Pillow reads ({reason})") from error
    w, h = image.size
    size = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    image = image.resize(size, Image.Resampling.BILINEAR)
    if crop is not None:
        left, top = round((size[0] - crop) / 2), round((size[1] - crop) / 2)
        image = image.crop((left, top, left + crop, top + crop))
    return np.asarray(image)


def _rgb(image: "Image.Image", where: object) -> "Image.Image":
    """An opened picture in 8-bit RGB, upright; one that cannot be that without a guess is refused."""
    from PIL import ExifTags, Image, ImageOps

    # A camera's MPO is a photo and, behind it, its previews or its depths.
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise InputError(f"{where} has {frames} frames; a photo takes one")
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    signed = 2 in tags.get(ExifTags.Base.SampleFormat, ())
    deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")
    if signed or (image.mode in ("I", "F") and not deep):
        kind = "signed" if signed else "32-bit"
        raise InputError(
            f"{where} is a picture of {kind} numbers (mode {image.mode}), whose white is not known; a photo takes "
            "unsigned ones of 8 or 16 bits"
        )
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if deep:
        # Pillow would clip what is above 255, keeps 12 bits as they are, and does not turn TIFF's "white is zero".
        pixels = np.asarray(image)
        clear = pixels == image.info.get("transparency", -1)
        bits = min(tags.get(ExifTags.Base.BitsPerSample, (16,)))
        grey = (pixels >> (bits - 8)).astype(np.uint8)
        image = Image.fromarray(255 - grey if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 else grey)
    else:
        if image.mode == "La":  # converted only by way of its own colours
            image = image.convert("LA")
        clear = np.asarray(image.convert("RGBA"))[..., 3] < 255 if image.has_transparency_data else np.False_
    if clear.any():
        raise InputError(f"{where} has transparent pixels; a photo takes colours everywhere: lay it on a background")
    return image.convert("RGB")


def read_photos(
    path: Pathlike, side: int, crop: int, progress: Callable[[int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """All photos of a tar archive, sorted by name, each as `read_photo` reads it.

    Photos are the files that torchvision's `ImageFolder` takes: `.jpg`, `.jpeg`, `.png`, `.ppm`, `.bmp`, `.pgm`,
    `.tif`, `.tiff` and `.webp`.

    Returns uint8 [n, crop, crop, 3], y int64 [n] and the names. A photo's class is the folder that it lies in (`dogs`
    in `train/dogs/dog.1.jpg`), classes numbered by alphabet. Raises `InputError` for a missing or broken archive, one
    without photos, and as `read_photo` does, with the photo's name. `progress` is called with the photos done and in
    all. Memory: what is returned, and one photo.
    """
    names = sorted(name for name, _ in _members(path) if name.lower().endswith(_PHOTOS))
    if not names:
        raise InputError(f"{path} has no photos ({', '.join(_PHOTOS)})")
    row = {name: number for number, name in enumerate(names)}
    if len(row) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(f"{path} has two photos {twice}; it takes one of each name")
    photos = np.empty((len(names), crop, crop, 3), np.uint8)
    done = 0
    for name, content in _members(path):
        if name in row:
            try:
                photos[row[name]] = read_photo(content, side, crop)
            except InputError as error:
                raise InputError(f"{path}: {name}: {error}") from error
            done += 1
            if progress is not None:
                progress(done, len(names))
    folders = [name.rpartition("/")[0].rpartition("/")[2] for name in names]
    return photos, np.unique(folders, return_inverse=True)[1].astype(np.int64), names


def prefix_classes(names: Sequence[str], classes: Mapping[str, int]) -> np.ndarray:
    """Classes int64 [n] of files named `<id>_...`, as ImageNet's photos are by WordNet ids, given the classes of ids.

    Raises `InputError` for a name of another id.
    """
    ids = [name.rpartition("/")[2].partition("_")[0] for name in names]
    unknown = sorted(set(ids) - set(classes))
    if unknown:
        raise InputError(f"a photo is of {unknown[0]}, which is none of the {len(classes)} ids whose classes are given")
    return np.array([classes[each] for each in ids], np.int64)


def check_classes(x: Sized, y: ArrayLike, classes: int, where: object) -> None:
    """Check that there is a label for every image of `where` and that it lies in 0 to `classes` - 1."""
    y = checks.whole(f"labels of {where}", y, "samples")
    if len(x) != len(y):
        raise InputError(f"{where} has {len(x):,} images and {len(y):,} labels; it takes as many of both")
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if wrong.size:
        row = wrong[0]
        raise InputError(f"{where} has the label {y[row]} at row {row}; it takes 0 to {classes - 1}")


def stratified_split(y: ArrayLike, test_share: float, generator: np.random.Generator) -> np.ndarray:
    """Which samples are test samples, bool [n]: of each class the share `test_share`, rounded, drawn without repeats.

    Raises `InputError` for a share outside of 0 to 1, or when a class would have no train or no test sample, and for
    labels that are NaN or not [n].
    """
    y = checks.labels("labels", y, "n", least=1)
    if not 0 < test_share < 1:
        raise InputError(f"test_share is {test_share}; it takes a number between 0 and 1")
    test = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        count = round(test_share * len(rows))
        if not 0 < count < len(rows):
            raise InputError(
                f"test_share {test_share} leaves class {label} with {len(rows)} samples {count} of them for the test;"
                " it takes 1 or more on both sides"
            )
        test[rows[:count]] = True
    return test


def random_split(samples: int, test_share: float, generator: np.random.Generator) -> np.ndarray:
    """Which samples are test samples, bool [samples]: the share `test_share`, rounded up, drawn without repeats.

    Rounded as in scikit-learn's `train_test_split` and Keras's `validation_split`. Raises `InputError` for a share
    outside of 0 to 1, or when no train sample would be left.
    """
    if not 0 < test_share < 1:
        raise InputError(f"test_share is {test_share}; it takes a number between 0 and 1")
    count = math.ceil(test_share * samples)
    if count >= samples:
        raise InputError(f"test_share {test_share} of {samples} samples leaves none to train on")
    return np.isin(np.arange(samples), generator.permutation(samples)[:count])


def redraw_split(split: ArrayLike, y: ArrayLike, generator: np.random.Generator) -> np.ndarray:
    """Another split [n], drawn at random, that has as many samples of every class on each side as `split` [n].

    Raises `InputError` for sides or labels that are NaN, or not as many."""
    y = checks.labels("labels", y, "n", least=1)
    checks.labels("sides", split, len(y))
    split = np.asarray(split)
    drawn = np.empty_like(split)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        drawn[rows] = generator.permutation(split[rows])
    return drawn


def flip_labels(y: ArrayLike, share: float, generator: np.random.Generator) -> np.ndarray:
    """Labels [n] of which the share `share` of each class, rounded, became another class, drawn at random: as y.

    Source: Anirudh et al. (2021), case III: 10 % of both classes. Raises `InputError` for a share outside of 0 to 1,
    for labels of one class, and for labels that are NaN or not [n].
    """
    checks.labels("labels", y, "n")
    y = np.asarray(y)
    classes = np.unique(y)
    if not 0 <= share <= 1 or len(classes) < 2:
        raise InputError(f"flips take a share of 0 to 1 and two classes or more, not {share:g} and {len(classes)}")
    flipped = np.array(y)
    for label in classes:
        rows = generator.permutation(np.flatnonzero(y == label))
        rows = rows[: round(share * len(rows))]
        flipped[rows] = generator.choice(classes[classes != label], len(rows))
    return flipped


# generated


def boolean_table(
    samples: int, features: int, terms: Sequence[Mapping[str, int]], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Independent Bernoulli(1/2) features v1, v2, ..., and a Boolean function of them in disjunctive normal form.

    A term is a mapping of features to 0 or 1, and true where all of them have these values; y is 1 where any term is.
    t = (v1 and v3) or (v2 and not v3) is [{v1: 1, v3: 1}, {v2: 1, v3: 0}] (Picchiotti and Gori 2021, section 4.1).

    Returns x float32 [samples, features] and y int64 [samples]. Raises `InputError` for a term without features, one
    that names another feature or value, and a number of samples or features below 1.
    """
    if samples < 1 or features < 1:
        raise InputError(f"boolean_table: {samples} samples of {features} features; it takes at least 1 of both")
    x = generator.integers(0, 2, (samples, features), dtype=np.uint8)
    columns = {f"v{number + 1}": number for number in range(features)}
    y = np.zeros(samples, bool)
    for term in terms:
        if not term or set(term) - set(columns) or set(term.values()) - {0, 1}:
            raise InputError(f"boolean_table: a term is {dict(term)}; it takes values 0 or 1 of v1 to v{features}")
        y |= np.logical_and.reduce([x[:, columns[name]] == value for name, value in term.items()])
    return x.astype(np.float32), y.astype(np.int64)


# tables


class CSV:
    """A table of comma-separated values whose first line names its columns, every cell with its line.

    Raises `InputError`, naming line and column, for a file that is missing or not UTF-8, a column that it lacks, a line
    with more or fewer cells than the first, and no lines after it.
    """

    def __init__(self, path: Pathlike, columns: Sequence[str]) -> None:
        self.path, rows = path, []
        with _reading(path) as file:
            try:
                text = file.read().decode("utf-8-sig")
            except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
                raise InputError(f"{path} is no text in UTF-8 ({error})") from error
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            head = next(reader, [])
            for row in reader:
                if row:
                    rows.append((reader.line_num, row))
        except csv.Error as error:
            raise InputError(f"{path}: line {reader.line_num} cannot be read ({error})") from error
        for column in columns:
            if head.count(column) != 1:
                raise InputError(
                    f"{path} has {head.count(column)} columns {column!r}; it has {', '.join(head) or 'none'}"
                )
        for line, row in rows:
            if len(row) != len(head):
                raise InputError(f"{path}: line {line} has {len(row)} cells; it takes {len(head)}, as the first line")
        if not rows:
            raise InputError(f"{path} has no lines after its first; it takes at least one")
        self.lines = [line for line, _ in rows]
        self.cells = {name: [row[head.index(name)].strip() for _, row in rows] for name in columns}

    def read(self, column: str, value: Callable[[str], float], takes: str) -> np.ndarray:
        """A column as float64 [rows], each cell through `value`; a cell for which it raises ValueError is refused."""
        out = np.empty(len(self.lines))
        for number, (line, cell) in enumerate(zip(self.lines, self.cells[column], strict=True)):
            try:
                out[number] = value(cell)
            except ValueError:
                raise InputError(f"{self.path}: line {line}: {column} is {cell!r}, but takes {takes}") from None
        return out

    def choices(self, column: str, values: Mapping[str, float]) -> np.ndarray:
        """A column of words or digits, each with its number; an empty one may be among them."""
        takes = " or ".join(key or "nothing" for key in values)

        def value(cell: str) -> float:
            if cell not in values:
                raise ValueError
            return values[cell]

        return self.read(column, value, takes)

    def numbers(self, column: str, missing: bool = False) -> np.ndarray:
        """A column of numbers of at least 0; with `missing` an empty cell is NaN, else it is refused."""

        def value(cell: str) -> float:
            if missing and not cell:
                return math.nan
            number = float(cell)
            if not 0 <= number < math.inf:
                raise ValueError
            return number

        return self.read(column, value, "a number of at least 0" + (" or nothing" if missing else ""))


TITANIC = ("Pclass", "Sex", "Age", "Fare", "Embarked", "Title", "IsAlone")
_TITLES = {"Mr": 1, "Miss": 2, "Mrs": 3, "Master": 4, "Mlle": 2, "Ms": 2, "Mme": 3}
_RARE = ("Lady", "Countess", "Capt", "Col", "Don", "Dr", "Major", "Rev", "Sir", "Jonkheer", "Dona")
_AGE_CUTS = (16, 32, 48, 64)
_FARE_CUTS = (7.91, 14.454, 31)


def read_titanic(path: Pathlike) -> tuple[np.ndarray, np.ndarray]:
    """Kaggle's Titanic passengers (`train.csv`), cleaned as in the code of Picchiotti and Gori (2021).

    Features, in this order: `Pclass` 1 to 3; `Sex` (female 1); `Age` in bins of 16 years, 0 to 4 (after `fill_ages`);
    `Fare` in quarters, 0 to 3 (cuts 7.91, 14.454, 31); `Embarked` (S 0, C 1, Q 2; missing: the commonest); `Title` of
    the name (Mr 1, Miss 2, Mrs 3, Master 4, a rare one 5); `IsAlone` (no SibSp, no Parch). The class is `Survived`.

    Returns x float32 [n, 7] and y int64 [n]. Raises `InputError`, naming line and column, for a cell that is none of
    what its column takes.
    """
    table = CSV(path, ["Survived", "Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked"])
    y = table.choices("Survived", {"0": 0, "1": 1})
    pclass = table.choices("Pclass", {"1": 1, "2": 2, "3": 3})
    sex = table.choices("Sex", {"male": 0, "female": 1})
    age = fill_ages(table.numbers("Age", missing=True), sex, pclass)
    embarked = table.choices("Embarked", {"S": 0, "C": 1, "Q": 2, "": math.nan})
    known = embarked[~np.isnan(embarked)]
    if not len(known):
        raise InputError(f"{path}: Embarked is empty in every line, but takes S, C or Q in one at least")
    embarked[np.isnan(embarked)] = np.bincount(known.astype(int)).argmax()
    title = table.read(
        "Name", _title, f"a title: {', '.join([*_TITLES, *_RARE])}, a space before and a point behind it"
    )
    alone = (table.numbers("SibSp") + table.numbers("Parch") == 0).astype(float)
    columns = [pclass, sex, _binned(age, _AGE_CUTS), _binned(table.numbers("Fare"), _FARE_CUTS), embarked, title, alone]
    return np.stack(columns, axis=1).astype(np.float32), y.astype(np.int64)


def fill_ages(age: ArrayLike, sex: ArrayLike, pclass: ArrayLike) -> np.ndarray:
    """Ages in whole years, a missing one (NaN) as the median of its cell of sex and class.

    The median is rounded to the nearest half, halves of halves up, before all ages are truncated to whole years, as in
    the code of Picchiotti and Gori (2021). All [n]. Raises `InputError` for a cell with missing ages only, and for
    another number that is missing.
    """
    age = checks.gapped("ages", age, math.nan, "n")
    sex, pclass = checks.numbers("sexes", sex, len(age)), checks.numbers("classes", pclass, len(age))
    missing = np.isnan(age)
    for cell in np.unique(np.stack([sex, pclass], axis=1)[missing], axis=0):
        here = (sex == cell[0]) & (pclass == cell[1])
        if missing[here].all():
            raise InputError(
                f"fill_ages: no age is known of sex {cell[0]:g} in class {cell[1]:g}, it takes one at least"
            )
        age[here & missing] = np.floor(np.median(age[here & ~missing]) / 0.5 + 0.5) * 0.5
    return np.trunc(age)


def _title(name: str) -> float:
    found = re.search(r" ([A-Za-z]+)\.", name)
    if found is None or found[1] not in (*_TITLES, *_RARE):
        raise ValueError
    return _TITLES.get(found[1], 5)


def _binned(values: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Number of the bin of each value: 0 up to the first cut, itself included, and so on."""
    return np.digitize(values, cuts, right=True)


def _read_idx(path: Pathlike, dimensions: int, what: str, types: Sequence[int]) -> np.ndarray:
    header = 4 * (1 + dimensions)
    with _reading(path) as file:
        try:
            start = file.read(header)
            if len(start) < header:
                raise InputError(f"{path} ends after {len(start)} bytes, within the header of an idx file of {what}")
            magic, *sizes = struct.unpack(f">{1 + dimensions}I", start)
            if magic not in [(kind << 8) + dimensions for kind in types]:
                kind = f" ({np.dtype(_IDX_TYPES[start[2]]).name}, {start[3]}D)" if magic >> 8 in _IDX_TYPES else ""
                raise InputError(
                    f"{path} is no idx file of {what}: its magic number is 0x{magic:08x}{kind}, it takes "
                    f"0x{(types[0] << 8) + dimensions:08x}"
                )
            if 0 in sizes:
                raise InputError(f"{path} has {what} of shape {sizes}; it takes at least one, of at least one pixel")
            form = np.dtype(_IDX_TYPES[start[2]])
            count = math.prod(sizes) * form.itemsize
            payload = bytearray()
            # One more than there should be, so that a longer file shows; piece by piece, as a header may lie.
            while len(payload) <= count and (piece := file.read(min(_CHUNK, count + 1 - len(payload)))):
                payload += piece
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} cannot be read to its end ({error}); fetch it again") from error
    if len(payload) != count:
        found = "more" if len(payload) > count else f"{len(payload):,}"
        shape = " x ".join(f"{size:,}" for size in sizes)
        follow = "follows" if len(payload) == 1 else "follow"
        raise InputError(f"{path} announces {what} of {shape} = {count:,} bytes, but {found} {follow}")
    return np.frombuffer(payload, form).reshape(sizes)


class _Gunzip(io.RawIOBase):
    """What gunzip makes of a gzip file: all its members, without zeros or anything else behind them.

    `gzip.open` takes the zeros, and raises at anything else, after content that is whole and has been checked.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._stream = file, zlib.decompressobj(31)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data.lstrip(b"\0")
                while len(rest) < 2 and (piece := self._file.read(_CHUNK)):
                    rest = (rest + piece).lstrip(b"\0")
                if not rest.startswith(_GZIP):
                    return 0
                self._stream = zlib.decompressobj(31)
            else:
                rest = self._stream.unconsumed_tail or self._file.read(_CHUNK)
            content = self._stream.decompress(rest, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)
            if not rest and not self._stream.eof:
                raise EOFError("the gzip stream breaks off")

    def close(self) -> None:
        self._file.close()
        super().close()


def _reading(path: Pathlike) -> BinaryIO:
    """A file that is open to be read, unpacked if it is gzipped, whatever its name; another kind is named."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    file = path.open("rb")
    start = file.read(512)
    file.seek(0)
    if start.startswith(_GZIP):
        return io.BufferedReader(_Gunzip(file), _CHUNK)
    if kind := foreign(start):
        file.close()
        raise InputError(f"{path} {kind}")
    return file


def _members(path: Pathlike) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a tar, plain or gzipped, in its order, without macOS's own (`._name`)."""
    with _reading(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as archive:
                for member in archive:
                    if member.name.rpartition("/")[2].startswith("._"):
                        continue
                    if member.islnk():
                        raise InputError(f"{path}: {member.name} is a link to {member.linkname}; it takes files")
                    if member.isfile():
                        content = cast(BinaryIO, archive.extractfile(member)).read()
                        if len(content) != member.size:
                            raise InputError(f"{path} ends within {member.name}; fetch it again")
                        yield member.name.removeprefix("./"), content
            # Only a gzip stream that is read to its end has its checksum compared.
            while file.read(_CHUNK):
                pass
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not a whole tar archive ({error}); fetch it again") from error


def _content(path: Pathlike) -> bytes:
    with _reading(path) as file:
        try:
            return file.read()
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} cannot be read to its end ({error}); fetch it again") from error


def _lines(path: Pathlike) -> list[bytes]:
    return _content(path).removeprefix(codecs.BOM_UTF8).splitlines()


def _words(text: str) -> Iterator[str]:
    return (token for token in text.lower().split() if token.isalpha())
