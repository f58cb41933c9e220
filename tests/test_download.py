"""Downloads against a server on this machine that lies, breaks off, and recovers."""

import errno
import hashlib
import importlib.util
import logging
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from interneuron.errors import InputError
from interneuron.io import download
from interneuron.io.download import fetch, fetch_blob

ROOT = Path(__file__).resolve().parent.parent
BODY = bytes(range(256)) * 4000
HASH = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers each path by a script of behaviours, one a request (the last one stays), and counts the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = {}
        self.asked = []

    def url(self, name, *behaviours):
        self.behaviours[f"/{name}"] = list(behaviours)
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        left = self.server.behaviours.get(self.path, [404])
        behaviour = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(behaviour, int):
            self.send_error(behaviour)
            return
        if behaviour == "redirect":
            self.send_response(302)
            self.send_header("Location", "/target")
            self.end_headers()
            return
        if behaviour == "silent":
            self.server.hush.wait(20)
            return
        self.send_response(200)
        if behaviour != "unannounced":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if behaviour == "truncated":
            self.wfile.write(BODY[: len(BODY) // 3])
        elif behaviour == "empty":
            pass
        elif behaviour == "wrong":
            self.wfile.write(b"x" + BODY[1:])
        elif behaviour == "unannounced":
            self.wfile.write(BODY[: self.server.sent])
        else:
            self.wfile.write(BODY)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    server.hush = threading.Event()
    server.sent = len(BODY)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.hush.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "raw/file.gz"


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between tries, which are not waited for."""
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    return pauses


def left_in(path):
    return sorted(file.name for file in path.parent.iterdir()) if path.parent.exists() else []


def dead_url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file.gz"


def test_whole_file_with_progress(server, path):
    seen = []
    url = server.url("a", "ok")
    assert fetch(path, [url], sha256=HASH, progress=lambda done, total: seen.append((done, total))) == url
    assert path.read_bytes() == BODY
    assert left_in(path) == ["file.gz"]
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert server.asked == ["/a"]


def test_redirect_is_followed(server, path):
    server.url("target", "ok")
    fetch(path, [server.url("a", "redirect")], sha256=HASH)
    assert path.read_bytes() == BODY
    assert server.asked == ["/a", "/target"]


@pytest.mark.parametrize("prefix", [HASH[:8], HASH[:20].upper(), HASH])
def test_prefix_of_a_hash(server, path, prefix):
    fetch(path, [server.url("a", "ok")], sha256_prefix=prefix)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("form", ["sha256", "sha256_prefix"])
def test_wrong_bytes_stop_with_both_hashes_and_no_file(server, path, form):
    wanted = HASH if form == "sha256" else HASH[:8]
    got = hashlib.sha256(b"x" + BODY[1:]).hexdigest()
    urls = [server.url("a", "wrong"), server.url("b", "ok")]
    with pytest.raises(InputError) as caught:
        fetch(path, urls, **{form: wanted})
    assert got in str(caught.value)
    assert wanted in str(caught.value)
    assert urls[0] in str(caught.value)
    assert left_in(path) == []
    assert server.asked == ["/a"]


def test_wrong_bytes_leave_an_older_file_alone(server, path):
    path.parent.mkdir()
    path.write_bytes(b"older")
    with pytest.raises(InputError, match="wrong bytes"):
        fetch(path, [server.url("a", "wrong")], sha256=HASH)
    assert path.read_bytes() == b"older"
    assert left_in(path) == ["file.gz"]


@pytest.mark.parametrize("trouble", [500, 503, 429, "truncated", "empty"])
def test_trouble_is_tried_again_after_longer_and_longer_pauses(server, path, pauses, trouble):
    fetch(path, [server.url("a", trouble, trouble, "ok")], sha256=HASH, wait=0.5)
    assert path.read_bytes() == BODY
    assert left_in(path) == ["file.gz"]
    assert server.asked == ["/a"] * 3
    assert pauses == [0.5, 1.0]


def test_truncated_every_time_is_refused(server, path, pauses):
    with pytest.raises(InputError, match=rf"broke off after {len(BODY) // 3:,} of {len(BODY):,} bytes, 3 times"):
        fetch(path, [server.url("a", "truncated")], sha256=HASH)
    assert server.asked == ["/a"] * 3
    assert left_in(path) == []


def test_truncated_without_a_length_shows_by_the_size_that_is_listed(server, path, pauses):
    server.sent = 1000
    url = server.url("a", "unannounced")
    with pytest.raises(InputError, match="broke off after 1,000 of"):
        fetch(path, [url], sha256=HASH, size=len(BODY))
    assert server.asked == ["/a"] * 3
    with pytest.raises(InputError, match="wrong bytes"):
        fetch(path, [url], sha256=HASH)
    assert left_in(path) == []
    server.sent = len(BODY)
    seen = []
    fetch(path, [url], sha256=HASH, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), 0)


def test_the_next_url_is_asked_after_the_first_gave_up(server, path, pauses):
    urls = [server.url("gone", 404), server.url("ill", 500), server.url("b", "ok")]
    assert fetch(path, urls, sha256=HASH, tries=2) == urls[2]
    assert server.asked == ["/gone", "/ill", "/ill", "/b"]
    assert path.read_bytes() == BODY


def test_silence_ends_at_the_timeout(server, path, pauses):
    with pytest.raises(InputError, match="timed out"):
        fetch(path, [server.url("a", "silent")], sha256=HASH, timeout=0.1, tries=2)
    assert left_in(path) == []


def test_no_network_and_no_mirror_is_one_sentence_with_everything_tried(path, pauses):
    urls = [dead_url(), "http://no-such-host.invalid/file.gz"]
    with pytest.raises(InputError) as caught:
        fetch(path, urls, sha256=HASH)
    sentence = str(caught.value)
    assert all(url in sentence for url in urls)
    assert "refused" in sentence
    assert "set INTERNEURON_MIRROR to a folder or base address" in sentence
    assert "\n" not in sentence
    assert left_in(path) == []


def test_the_mirror_comes_first(server, path, tmp_path, pauses):
    copy = tmp_path / "mirror/file.gz"
    copy.parent.mkdir()
    copy.write_bytes(BODY)
    url = server.url("a", "ok")
    assert fetch(path, [url], sha256=HASH, mirror=str(copy)) == str(copy)
    assert path.read_bytes() == BODY
    assert not path.is_symlink()
    assert server.asked == []
    mirror = server.url("mirror/file.gz", "ok")
    assert fetch(path, [url], sha256=HASH, mirror=mirror) == mirror
    assert server.asked == ["/mirror/file.gz"]
    for absent in (str(tmp_path / "elsewhere/file.gz"), str(tmp_path), server.url("mirror/other", 404), dead_url()):
        assert fetch(path, [url], sha256=HASH, mirror=absent) == url
    copy.write_bytes(BODY[:-1])
    with pytest.raises(InputError, match="wrong bytes"):
        fetch(path, [url], sha256=HASH, mirror=str(copy))


def test_a_file_inside_an_installed_package_without_importing_it(path, tmp_path, monkeypatch):
    package = tmp_path / "packed_for_a_test"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data/file.gz").write_bytes(BODY)
    monkeypatch.syspath_prepend(tmp_path)
    fetch(path, ["package:packed_for_a_test/data/file.gz"], sha256=HASH)
    assert path.read_bytes() == BODY
    assert "packed_for_a_test" not in sys.modules


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("package:no_such_package_here/a", "package no_such_package_here is not installed"),
        ("package:numpy/no/such/file", "no such file"),
        ("package:numpy", "names no file inside a package"),
        ("package:numpy/../secret", "names no file inside a package"),
        ("package:numpy//etc/passwd", "names no file inside a package"),
        ("package:no.such/a", "names no file inside a package"),
        ("package:", "names no file inside a package"),
        ("http://a b/c", "no address"),
        ("http://[::1/c", "no address"),
    ],
)
def test_what_no_source_has(path, url, says, pauses):
    with pytest.raises(InputError, match=says):
        fetch(path, [url], sha256=HASH)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "one of sha256 and sha256_prefix"),
        ({"sha256": HASH, "sha256_prefix": HASH[:8]}, "one of sha256 and sha256_prefix"),
        ({"sha256": HASH[:63]}, "no SHA-256"),
        ({"sha256_prefix": HASH[:7]}, "no SHA-256"),
        ({"sha256": "g" * 64}, "no SHA-256"),
        ({"sha256": HASH, "tries": 0}, "tries is 0"),
        ({"sha256": HASH, "urls": ["ftp://a/b"]}, "'ftp://a/b' is no address to fetch from"),
        ({"sha256": HASH, "urls": []}, "no URL is listed"),
    ],
)
def test_bad_arguments(path, arguments, says):
    with pytest.raises(InputError, match=says):
        fetch(path, **({"urls": ["http://127.0.0.1:9/a"]} | arguments))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_sentence_and_is_not_tried_again(server, path, monkeypatch, pauses, code):
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file, self.room = file, 300_000

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, chunk):
            self.room -= len(chunk)
            if self.room < 0:
                raise OSError(code, "full")
            self.file.write(chunk)

    monkeypatch.setattr(
        Path, "open", lambda self, mode="r": Full(real(self, mode)) if "w" in mode else real(self, mode)
    )
    with pytest.raises(InputError, match=r"disk is full: .*file\.gz could not be written") as caught:
        fetch(path, [server.url("a", "ok"), server.url("b", "ok")], sha256=HASH)
    assert "\n" not in str(caught.value)
    assert left_in(path) == []
    assert server.asked == ["/a"]
    assert pauses == []


# the step


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("download_script", ROOT / "scripts/download.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# files that git names


@pytest.fixture
def blob(tmp_path):
    """Git's own name for the server's file."""
    (tmp_path / "content").write_bytes(BODY)
    command = ["git", "hash-object", "--no-filters", str(tmp_path / "content")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_file_by_the_name_that_git_has_for_it(server, path, pauses, blob):
    seen = []
    url = server.url("a", 503, "truncated", "ok")
    found = fetch_blob(path, [dead_url(), url], git_blob=blob, progress=lambda done, total: seen.append((done, total)))
    assert found == url
    assert path.read_bytes() == BODY
    assert left_in(path) == ["file.gz"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert server.asked == ["/a"] * 3
    assert pauses == [1.0, 2.0] * 2


def test_other_bytes_than_git_names_leave_no_file(server, path, blob):
    with pytest.raises(
        InputError, match=rf"has the wrong bytes for .*: git's name for them is [0-9a-f]{{40}} and not {blob}"
    ):
        fetch_blob(path, [server.url("a", "wrong"), server.url("b", "ok")], git_blob=blob)
    assert left_in(path) == []
    assert server.asked == ["/a"]
    with pytest.raises(InputError, match=r"could not be fetched: tried .*/c \(404 Not Found\); without a network"):
        fetch_blob(path, [server.url("c", 404)], git_blob=blob)
    with pytest.raises(InputError, match="'12' is no name of a git object; it takes 40 hexadecimal digits"):
        fetch_blob(path, [], git_blob="12")
    assert left_in(path) == []


def job(path, urls, **entry):
    files = [{"path": "other", "urls": []}, {"path": "file.gz", "urls": urls, **entry}]
    return SimpleNamespace(
        input=[],
        output=[str(path)],
        params=SimpleNamespace(settings={"files": files, "mirror": "set"}),
        wildcards=SimpleNamespace(dataset="d", file="file.gz"),
        threads=1,
        log=["unused"],
        rule="download",
    )


def test_step_looks_into_the_mirror_folder(script, server, path, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("interneuron"), "propagate", True)
    caplog.set_level(logging.INFO, "interneuron")
    copy = tmp_path / "mirror/set/file.gz"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(BODY)
    monkeypatch.setenv("INTERNEURON_MIRROR", f"{tmp_path}/mirror/")
    script.main(job(path, [server.url("a", "ok")], sha256=HASH, sha256_prefix=None, bytes=len(BODY)))
    assert path.read_bytes() == BODY
    assert server.asked == []
    assert f"1.024 MB from {copy}" in caplog.text
    base = server.url("base/set/file.gz", "ok").removesuffix("/set/file.gz")
    monkeypatch.setenv("INTERNEURON_MIRROR", base)
    script.main(job(path, [], sha256_prefix=HASH[:8]))
    assert server.asked == ["/base/set/file.gz"]


def test_step_without_a_mirror_asks_the_urls_and_says_how_far_it_is(script, server, path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("interneuron"), "propagate", True)
    caplog.set_level(logging.INFO, "interneuron")
    monkeypatch.delenv("INTERNEURON_MIRROR", raising=False)
    script.main(job(path, [server.url("a", "ok")], sha256=HASH))
    assert path.read_bytes() == BODY
    progress = script.Megabytes("file.gz", every=0)
    progress(512_000, 1_024_000)
    progress(1_024_000, 1_024_000)
    progress(5, 0)
    assert [record.message for record in caplog.records][1:] == ["50% of 1.0 MB"]


def test_step_refuses_a_file_that_is_not_listed(script, path):
    wrong = job(path, [], sha256=HASH)
    wrong.wildcards.file = "absent"
    with pytest.raises(InputError, match="dataset d lists no file absent"):
        script.main(wrong)


# the entries


def test_the_digits_entry_is_the_installed_file(path):
    (entry,) = yaml.safe_load((ROOT / "config/datasets/digits.yaml").read_text())["files"]
    fetch(path, entry["urls"], sha256=entry["sha256"])
    assert path.stat().st_size == entry["bytes"]


def test_the_mnist_entry_lists_every_file_it_reads():
    entry = yaml.safe_load((ROOT / "config/datasets/mnist.yaml").read_text())
    listed = {file["path"]: file for file in entry["files"]}
    read = {entry["prepare"][part][kind] for part in ("train", "test") for kind in ("images", "labels")}
    assert read == set(listed)
    for name, file in listed.items():
        assert len(file["sha256"]) == 64
        assert len(file["urls"]) == 3
        assert all(url.startswith("https://") and url.endswith(f"/{name}") for url in file["urls"])
