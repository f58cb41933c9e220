"""Sets of many files, fetched from a folder, an address or an archive, and packed into one tar."""

import hashlib
import importlib.util
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image
from synthetic import packed

from interneuron import io as files
from interneuron.errors import InputError
from interneuron.io import download
from interneuron.io.download import fetch_members, read_sums

ROOT = Path(__file__).resolve().parent.parent
CONTENTS = {"a/2.txt": b"two", "a/1.txt": b"one", "b/3.txt": b"three" * 400}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}


HASH = hashlib.sha256(packed(CONTENTS)).hexdigest()


@pytest.fixture
def mirror(tmp_path):
    for name, content in CONTENTS.items():
        (tmp_path / "mirror" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / name).write_bytes(content)
    return tmp_path / "mirror"


@pytest.fixture
def address(mirror, monkeypatch):
    """Address of a server of the mirror's folder, and of a zip with its files and one more."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    with zipfile.ZipFile(mirror / "set.zip", "w") as archive:
        for name, content in {"read.me": b"", **CONTENTS}.items():
            archive.writestr(name, content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=mirror))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def note(seen, done, total):
    seen.append((done, total))


def left_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_every_kind_of_source_gives_the_same_tar(address, mirror, tmp_path):
    path = tmp_path / "raw/set.tar"
    for source in ({"mirror": str(mirror)}, {"urls": [address]}, {"urls": [f"{address}set.zip"]}):
        seen = []
        found = fetch_members(
            path,
            source.get("urls", []),
            SUMS,
            sha256=HASH,
            mirror=source.get("mirror"),
            progress=partial(note, seen),
        )
        assert found in (f"{mirror}/", *source.get("urls", []))
        assert path.read_bytes() == packed(CONTENTS)
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert left_in(path.parent) == ["set.tar"]
        path.unlink()


def test_the_next_source_is_asked_where_one_lacks_a_file(address, mirror, tmp_path):
    path = tmp_path / "raw/set.tar"
    (mirror / "b/3.txt").unlink()
    with zipfile.ZipFile(mirror / "part.zip", "w") as archive:
        archive.writestr("a/1.txt", CONTENTS["a/1.txt"])
    (mirror / "half.zip").write_bytes((mirror / "set.zip").read_bytes()[:-9])
    urls = [address, f"{address}part.zip", f"{address}half.zip", f"{address}set.zip"]
    assert fetch_members(path, urls, SUMS, sha256=HASH, mirror=str(mirror)) == urls[-1]
    path.unlink()
    with pytest.raises(
        InputError, match=r"could not be fetched: tried .*no such file.*404.*no a/2.txt in it.*no whole zip"
    ):
        fetch_members(path, urls[:-1], SUMS, sha256=HASH, mirror=str(mirror))
    assert left_in(path.parent) == []


def test_a_wrong_member_is_named_and_nothing_is_kept(address, mirror, tmp_path):
    path = tmp_path / "raw/set.tar"
    (mirror / "a/1.txt").write_bytes(b"One")
    with pytest.raises(InputError, match=r"a/1.txt has the wrong bytes .* and not "):
        fetch_members(path, [f"{address}set.zip"], SUMS, sha256=HASH, mirror=str(mirror))
    with pytest.raises(InputError, match=r"set.zip has the wrong bytes for a/1.txt"):
        fetch_members(path, [f"{address}set.zip"], SUMS | {"a/1.txt": "0" * 64}, sha256=HASH)
    with pytest.raises(InputError, match=r"has the SHA-256 .* and not 000"):
        fetch_members(path, [f"{address}set.zip"], SUMS, sha256="0" * 64)
    assert left_in(path.parent) == []


@pytest.mark.parametrize(
    ("urls", "members", "sentence"),
    [
        (["https://example.org/set.rar"], SUMS, "is no source of many files"),
        (["package:sklearn/"], SUMS, "is no source of many files"),
        ([], {"../a": "0" * 64}, "is no path of a member"),
        ([], {"a": "0" * 63}, "is no SHA-256"),
        ([], {}, "has no members"),
        ([], SUMS, "no URL is listed"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path, urls, members, sentence):
    with pytest.raises(InputError, match=sentence):
        fetch_members(tmp_path / "set.tar", urls, members, sha256=HASH)


def test_lists_of_hashes(tmp_path):
    path = tmp_path / "SUMS"
    path.write_text("".join(f"{each}  {name}\n" for name, each in SUMS.items()))
    assert read_sums(path) == SUMS
    written = "".join(f"{each.upper()} *{name}\r\n\r\n" for name, each in SUMS.items())
    path.write_bytes(b"\xef\xbb\xbf" + written.encode())
    assert read_sums(path) == SUMS
    path.write_bytes(b"\xff\xfe binary")
    with pytest.raises(InputError, match="line 1 is no SHA-256"):
        read_sums(path)
    for line in ("abc  a", f"{'0' * 64} a", f"{'0' * 64}  ", f"{'0' * 64}  a/1.txt"):
        path.write_text(f"{SUMS['a/1.txt']}  a/1.txt\n{line}\n")
        with pytest.raises(InputError, match="line 2 is no SHA-256, two spaces and a path"):
            read_sums(path)
    with pytest.raises(InputError, match="there is no file"):
        read_sums(tmp_path / "none")


# the scripts


def script(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_step_packs_what_the_list_beside_the_entry_says(mirror, tmp_path, monkeypatch):
    (tmp_path / "config/datasets").mkdir(parents=True)
    (tmp_path / "config/datasets/set.sha256").write_text("".join(f"{each}  {name}\n" for name, each in SUMS.items()))
    monkeypatch.setenv("INTERNEURON_MIRROR", str(tmp_path))
    job = SimpleNamespace(
        output=[str(tmp_path / "set.tar")],
        params=SimpleNamespace(
            settings={
                "files": [{"path": "set.tar", "members": "set.sha256", "sha256": HASH, "urls": []}],
                "mirror": "mirror",
            }
        ),
        wildcards=SimpleNamespace(dataset="set", file="set.tar"),
        scriptdir=str(tmp_path / "scripts"),
    )
    script("pack").main(job)
    assert files.sha256(tmp_path / "set.tar") == HASH
    job.wildcards.file = "other.tar"
    with pytest.raises(InputError, match=r"dataset set lists no file other\.tar"):
        script("pack").main(job)


def photo(colour):
    raw = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(raw, "PNG")
    return raw.getvalue()


def prepared(folder, contents, test):
    (folder / "photos.tar").write_bytes(packed(contents))
    settings = {"reader": "photos", "file": "photos.tar", "side": 10, "crop": 8, "test": test, "classes": 2}
    job = SimpleNamespace(
        input=SimpleNamespace(files=[str(folder / "photos.tar")]),
        output=[str(folder / "photos.safetensors")],
        params=SimpleNamespace(settings=settings),
    )
    script("prepare").main(job)
    return files.load_tensors(job.output[0]), files.metadata(job.output[0])


def test_photos_are_prepared_with_the_folders_as_classes_and_split(tmp_path):
    contents = {
        f"set/{split}/{kind}/{kind}.jpg": photo(colour)
        for (split, kind), colour in {
            ("train", "cats"): "red",
            ("train", "dogs"): "blue",
            ("validation", "cats"): "white",
            ("validation", "dogs"): "black",
        }.items()
    }
    tensors, about = prepared(tmp_path, contents, "validation")
    assert tensors["x"].shape == (4, 8, 8, 3)
    assert tensors["x"].dtype.name == "uint8"
    assert tensors["x"][:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]
    assert (tensors["y"].tolist(), tensors["split"].tolist()) == ([0, 1, 0, 1], [0, 0, 1, 1])
    assert about == {"classes": 2, "scale": 255}
    for test in ("set", "holdout"):
        with pytest.raises(InputError, match=f"of 4 photos in folders named {test}"):
            prepared(tmp_path, contents, test)
    broken = contents | {"set/train/dogs/dogs.jpg": b"no photo"}
    with pytest.raises(InputError, match=r"set/train/dogs/dogs.jpg: a photo is not a whole image"):
        prepared(tmp_path, broken, "validation")
    with pytest.raises(InputError, match="has the label 2"):
        prepared(tmp_path, contents | {"set/train/foxes/fox.png": photo("red")}, "validation")


def test_the_photos_entry_lists_as_many_files_as_it_says():
    entry = yaml.safe_load((ROOT / "config/datasets/dogs-vs-cats.yaml").read_text())
    (file,) = entry["files"]
    names = list(read_sums(ROOT / "config/datasets" / file["members"]))
    assert len(names) == 3000
    assert {name.split("/")[-2] for name in names} == {"cats", "dogs"}
    assert sum(entry["prepare"]["test"] in name.split("/")[:-1] for name in names) == 1000
