"""Files from a mirror or from URLs, checked by SHA-256 while they stream."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
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
