"""Files from a mirror or from URLs, checked by a hash of their content."""

import hashlib
import http.client
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from interneuron.errors import InputError
from interneuron.io.files import Pathlike, atomic

CHUNK = 1 << 18
_HEADERS = {"User-Agent": "interneuron"}
_BUSY = (408, 429)


class _UnavailableError(Exception):
    """A source that does not have the file, or not for us: asking again is of no use."""


class _InterruptedError(Exception):
    """A transfer that failed on its way: asking again may help."""


def fetch(
    path: Pathlike,
    urls: Sequence[str],
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    size: int | None = None,
    mirror: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tries: int = 3,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> str:
    """Fetch a file to `path` from the first source that has it, and return that source.

    The sources are `mirror` (where this file is in a mirror: a path or an http address), then `urls` in their order:
    http and https, or `package:name/path` for a file inside an installed Python package. A source that answers with an
    error of its own (5xx), breaks off, or keeps silent for `timeout` seconds is asked up to `tries` times, after pauses
    of `wait`, 2 `wait`, ... seconds; one that lacks the file (4xx) is asked once. `progress` is called with the bytes
    done and in all (0: not known).

    Exactly one of `sha256` (64 hexadecimal digits) and `sha256_prefix` (its first 8 or more) is given; `size`, if it
    is known, is in bytes.

    Raises `InputError`, and leaves no file: for a whole transfer with the wrong hash, without trying any further; when
    no source has the file, naming what was tried; and when the disk is full.
    """
    wanted = _checked_hash(sha256, sha256_prefix)
    if tries < 1:
        raise InputError(f"tries is {tries}; it takes 1 or more")
    for url in urls:
        if not url.startswith(("http://", "https://", "package:")):
            raise InputError(f"{url!r} is no address to fetch from; it takes http://, https:// or package:")
    reasons = []
    for source in [mirror, *urls] if mirror else urls:
        for attempt in range(1, tries + 1):
            try:
                _transfer(path, source, wanted, size, progress, timeout)
                return source
            except _UnavailableError as error:
                reasons.append(f"{source} ({error})")
                break
            except _InterruptedError as error:
                if attempt == tries:
                    times = f", {tries} times" if tries > 1 else ""
                    reasons.append(f"{source} ({error}{times})")
                else:
                    time.sleep(wait * 2 ** (attempt - 1))
    raise InputError(
        f"{path} could not be fetched: tried {'; '.join(reasons) or 'nothing, as no URL is listed'}; without a"
        " network, set INTERNEURON_MIRROR to a folder or base address that holds a copy"
    )


def fetch_members(
    path: Pathlike,
    urls: Sequence[str],
    members: Mapping[str, str],
    *,
    sha256: str,
    mirror: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tries: int = 3,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> str:
    """Fetch a set of files from the first source that has it into one uncompressed tar, and return that source.

    members: SHA-256 of each file, by its path. A source is a folder, whose address ends in `/` and takes the members'
    paths behind it, or a public `.zip` that holds them (and maybe more); `mirror` is a folder. Each member is checked.
    The tar has them by name, without times and owners: equal members are equal bytes, of SHA-256 `sha256`. Sources are
    asked as `fetch` asks them. `progress` is called with the members done and in all.

    Raises `InputError`, and leaves no file: for a member with the wrong hash, naming it, without trying any further;
    when no source has all of them, naming what was tried; when the tar is another than `sha256`; a full disk.
    """
    wanted = _checked_hash(sha256, None)
    for name, each in members.items():
        _checked_hash(each, None)
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(f"{name!r} is no path of a member; it takes a relative one without '..'")
    if not members:
        raise InputError(f"{path} has no members; it takes one or more")
    for url in urls:
        if not url.startswith(("http://", "https://")) or not url.endswith(("/", ".zip")):
            raise InputError(f"{url!r} is no source of many files; it takes an address that ends in / or .zip")
    reasons = []
    for source in [f"{mirror.rstrip('/')}/", *urls] if mirror else urls:
        try:
            with atomic(path) as temporary:
                found = _pack(temporary, source, members, tries, wait, timeout, progress)
                if found != wanted:
                    raise InputError(f"{path} has the SHA-256 {found} and not {wanted}, so nothing was kept")
                return source
        except (_UnavailableError, _InterruptedError) as error:
            reasons.append(f"{source} ({error})")
    raise InputError(
        f"{path} could not be fetched: tried {'; '.join(reasons) or 'nothing, as no URL is listed'}; without a"
        " network, set INTERNEURON_MIRROR to a folder or base address that holds a copy"
    )


def fetch_blob(
    path: Pathlike,
    urls: Sequence[str],
    *,
    git_blob: str,
    mirror: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tries: int = 3,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> str:
    """Fetch a file to `path` whose only published hash is its name in a git repository, and return its source.

    git_blob: the object's name, 40 hexadecimal digits, as `git ls-tree` shows it and `git hash-object` computes it: the
    SHA-1 of `blob`, a space, the size in bytes, a zero byte and the content. It tells broken bytes from whole ones and
    one version from another; whoever can make collisions of SHA-1 could make two files of one name. Sources are asked
    as `fetch` asks them, and errors are its errors.
    """
    if len(git_blob) != 40 or set(git_blob) - set("0123456789abcdef"):
        raise InputError(f"{git_blob!r} is no name of a git object; it takes 40 hexadecimal digits")
    reasons = []
    for source in [mirror, *urls] if mirror else urls:
        try:
            with atomic(path) as temporary:
                _retried(temporary, source, tries, wait, timeout, progress)
                digest = hashlib.sha1(b"blob %d\0" % temporary.stat().st_size, usedforsecurity=False)
                with temporary.open("rb") as file:
                    found = hashlib.file_digest(file, digest.copy).hexdigest()
                if found != git_blob:
                    raise InputError(
                        f"{source} has the wrong bytes for {path}: git's name for them is {found} and not {git_blob},"
                        " so nothing was kept"
                    )
                return source
        except (_UnavailableError, _InterruptedError) as error:
            reasons.append(f"{source} ({error})")
    raise InputError(
        f"{path} could not be fetched: tried {'; '.join(reasons) or 'nothing, as no URL is listed'}; without a"
        " network, set INTERNEURON_MIRROR to a folder or base address that holds a copy"
    )


def _retried(
    path: Path,
    source: str,
    tries: int,
    wait: float,
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Transfer whatever a source has, and ask again where it breaks off."""
    for attempt in range(1, tries + 1):
        try:
            _transfer(path, source, "", None, progress, timeout)
            return
        except _InterruptedError:
            if attempt == tries:
                raise
            time.sleep(wait * 2 ** (attempt - 1))


def _pack(
    path: Path,
    source: str,
    members: Mapping[str, str],
    tries: int,
    wait: float,
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> str:
    """Write the members to a tar at `path`, and return its SHA-256."""
    with TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for done, (name, content) in enumerate(_each(source, members, Path(folder, "part"), tries, wait, timeout), 1):
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o644
            archive.addfile(about, BytesIO(content))
            if progress:
                progress(done, len(members))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _each(
    source: str, members: Mapping[str, str], place: Path, tries: int, wait: float, timeout: float
) -> Iterator[tuple[str, bytes]]:
    """Members and their contents, by name, each with the right hash."""

    def transfer(one: str, wanted: str) -> None:
        for attempt in range(1, tries + 1):
            try:
                _transfer(place, one, wanted, None, None, timeout)
                break
            except _InterruptedError:
                if attempt == tries:
                    raise
                time.sleep(wait * 2 ** (attempt - 1))

    if source.endswith("/"):
        for name in sorted(members):
            transfer(source + name, members[name])
            yield name, place.read_bytes()
        return
    transfer(source, "")
    try:
        with zipfile.ZipFile(place) as archive:
            if missing := sorted(members.keys() - set(archive.namelist())):
                raise _UnavailableError(f"no {missing[0]} in it")
            for name in sorted(members):
                content = archive.read(name)
                if (found := hashlib.sha256(content).hexdigest()) != members[name]:
                    raise InputError(f"{source} has the wrong bytes for {name}: their SHA-256 is {found}")
                yield name, content
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _UnavailableError(f"no whole zip archive: {error}") from error


def read_sums(path: Pathlike) -> dict[str, str]:
    """SHA-256 by path of a list as `sha256sum` writes it: hash, two spaces, path; a line a file.

    Raises `InputError` for a missing file, and any other line.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    sums: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line:
            continue
        # With -b, or on Windows, a star stands for the second space.
        each, name = line[:64].lower(), line[66:] if line[64:66] in ("  ", " *") else ""
        if len(each) != 64 or set(each) - set("0123456789abcdef") or not name or name in sums:
            raise InputError(f"{path}, line {number} is no SHA-256, two spaces and a path that no other line has")
        sums[name] = each
    return sums


def _checked_hash(sha256: str | None, sha256_prefix: str | None) -> str:
    if (sha256 is None) == (sha256_prefix is None):
        raise InputError("a download takes one of sha256 and sha256_prefix, not both and not none")
    text = (sha256 or sha256_prefix or "").lower()
    least = 64 if sha256 is not None else 8
    if not least <= len(text) <= 64 or set(text) - set("0123456789abcdef"):
        raise InputError(f"{text!r} is no SHA-256; it takes {'64' if least == 64 else '8 to 64'} hexadecimal digits")
    return text


def _transfer(
    path: Pathlike,
    source: str,
    wanted: str,
    size: int | None,
    progress: Callable[[int, int], None] | None,
    timeout: float,
) -> None:
    digest, done = hashlib.sha256(), 0
    with _opened(source, timeout) as (stream, length), atomic(path) as temporary, temporary.open("wb") as file:
        total = length if length is not None else size
        while chunk := _read(stream):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress(done, total or 0)
        if total is not None and done < total:
            raise _InterruptedError(f"broke off after {done:,} of {total:,} bytes")
        if not digest.hexdigest().startswith(wanted):
            raise InputError(
                f"{source} has the wrong bytes for {path}: their SHA-256 is {digest.hexdigest()} and not {wanted}, so"
                " nothing was kept"
            )


def _read(stream: IO[bytes]) -> bytes:
    # Kept apart from writing: a connection's OSError is a reason to try again, a disk's is not.
    try:
        return stream.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(_say(error)) from error


@contextmanager
def _opened(source: str, timeout: float) -> Iterator[tuple[IO[bytes], int | None]]:
    if source.startswith(("http://", "https://")):
        with _answer(source, timeout) as answer:
            length = answer.headers.get("Content-Length")
            yield answer, int(length) if length and length.isdigit() else None
    else:
        place = _in_package(source.removeprefix("package:")) if source.startswith("package:") else Path(source)
        try:
            file = place.open("rb")
        except FileNotFoundError as error:
            raise _UnavailableError("no such file") from error
        except OSError as error:
            raise _UnavailableError(_say(error)) from error
        with file:
            yield file, place.stat().st_size


def _answer(url: str, timeout: float) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=_HEADERS), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        kind = _InterruptedError if error.code >= 500 or error.code in _BUSY else _UnavailableError
        raise kind(f"{error.code} {error.reason}") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise _UnavailableError(f"no address: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(_say(error)) from error


def _in_package(name: str) -> Path:
    package, _, inside = name.partition("/")
    place = PurePosixPath(inside)
    if not package.isidentifier() or not inside or place.is_absolute() or ".." in place.parts:
        raise _UnavailableError("names no file inside a package")
    # Finding a top-level package does not import it.
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _UnavailableError(f"package {package} is not installed")
    return Path(spec.submodule_search_locations[0]).joinpath(place)


def _say(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__
