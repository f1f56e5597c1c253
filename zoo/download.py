"""Downloads: a file appears under its name only when it is complete and verified.

A download is a file `<name>.part` until all bytes have arrived and its SHA-256 is right; then it is
renamed. A partial file is kept when the connection breaks, and the next attempt, or the next
command, continues from there.
"""

from __future__ import annotations

import os
import re
import stat
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import urllib3

from dcgan.core.text import public_url
from dcgan.zoo.http import ConnectionBrokenError, DownloadError, HttpClient, Watchdog
from dcgan.zoo.release import sha256
from dcgan.zoo.urls import is_web_url, split_url

__all__ = ["Download", "DownloadError", "RetryPolicy", "download"]

_CHUNK_BYTES = 1 << 16
_LENGTH = re.compile(r"[0-9]{1,18}")  # others are ignored: what arrives is counted
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file to download.

    Attributes:
        url: http, https or file address.
        bytes: its size, if known.
        sha256: its digest in hexadecimal, if known.
        max_bytes: limit of the size where it is not known.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None
    max_bytes: int = 2**31

    @property
    def limit(self) -> int:
        """Number of bytes after which the download ends."""
        return self.bytes or self.max_bytes


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Timeouts and attempts of a download.

    Attributes:
        attempts: number of attempts.
        timeout_s: longest time without a response, and the period of the minimum speed, in seconds.
        backoff_s: pause before the second attempt, doubled before each further one, in seconds.
        min_bytes_per_s: speed below which a connection counts as broken.
        total_s: longest time of all attempts together, in seconds.
    """

    attempts: int = 5
    timeout_s: float = 20.0
    backoff_s: float = 1.0
    min_bytes_per_s: float = 1024.0
    total_s: float = 4 * 3600.0


def download(
    file: Download,
    target: Path,
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> None:
    """Downloads a file; continues an earlier attempt that was interrupted.

    Args:
        file: the address, with the size and digest to verify.
        target: path of the complete and verified file.
        retry: timeouts and attempts.
        progress: called from time to time with the number of bytes that have arrived.

    Raises:
        DownloadError: if the file does not exist, does not arrive in time, or has another size or
            digest than promised.
        UrlError: if the address is malformed.
    """
    retry = retry or RetryPolicy()
    progress = progress or (lambda _: None)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_unless_file(part)
        resumed = part.exists()
        _receive(file, part, retry, progress)

        if resumed and file.sha256 not in (None, sha256(part)):
            part.unlink()  # the earlier part may belong to another file
            _receive(file, part, retry, progress)

        _verify(file, part)
        part.replace(target)
    except OSError as error:
        raise DownloadError(
            f"cannot write the download to {target.parent}: {error.strerror}"
        ) from None


def _receive(file: Download, part: Path, retry: RetryPolicy, progress: Progress) -> None:
    """Writes all bytes to the part, in as many attempts as the policy allows."""
    if split_url(file.url).scheme == "file":
        _copy(file, part, progress)
        return
    if not is_web_url(file.url):
        raise DownloadError(f"{public_url(file.url)} is not an http, https or file address")

    watchdog = Watchdog(
        window_s=retry.timeout_s,
        min_bytes=int(retry.min_bytes_per_s * retry.timeout_s),
        total_s=retry.total_s,
    )
    with closing(HttpClient(file.url, retry.timeout_s, watchdog)) as client, watchdog.running():
        for attempt in range(1, retry.attempts + 1):
            try:
                _receive_once(client, file, part, progress)
            except ConnectionBrokenError as error:
                if attempt == retry.attempts or watchdog.is_final:
                    raise DownloadError(
                        f"cannot download {public_url(file.url)}: {error}; tried {attempt} times, "
                        "the part that has arrived is kept for the next try"
                    ) from None
                time.sleep(retry.backoff_s * 2 ** (attempt - 1))
            else:
                return


def _receive_once(client: HttpClient, file: Download, part: Path, progress: Progress) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start and start == file.bytes:
        return

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with client.get(file.url, headers) as response:
        start = _check_response(file, response, part, start)
        _append(file, client.read(response), part, start, progress)


def _check_response(
    file: Download, response: urllib3.BaseHTTPResponse, part: Path, start: int
) -> int:
    """Checks the head of a response and returns the position of its body in the file."""
    status = response.status
    if status == _RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise ConnectionBrokenError("the server refused to continue the last attempt")
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        raise ConnectionBrokenError(f"the server answered {status}")
    if status not in (200, _PARTIAL_CONTENT):
        raise DownloadError(f"cannot download {public_url(file.url)}: the server answered {status}")

    if status != _PARTIAL_CONTENT:
        start = 0
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        part.unlink(missing_ok=True)
        raise ConnectionBrokenError("the server sent another range than was asked for")

    length = response.headers.get("Content-Length", "")
    if file.bytes is not None and _LENGTH.fullmatch(length) and start + int(length) != file.bytes:
        raise DownloadError(
            f"{public_url(file.url)} has {start + int(length)} bytes, not the promised {file.bytes}"
        )
    return start


def _append(
    file: Download, pieces: Iterable[bytes], part: Path, start: int, progress: Progress
) -> None:
    size = start
    with _open_part(part, start) as output:
        for piece in pieces:
            size += len(piece)
            if size > file.limit:
                part.unlink()
                raise DownloadError(
                    f"{public_url(file.url)} is longer than the promised {file.limit} bytes"
                )
            output.write(piece)
            progress(size)

    if file.bytes is not None and size < file.bytes:
        raise ConnectionBrokenError(f"the connection ended after {size} of {file.bytes} bytes")


def _copy(file: Download, part: Path, progress: Progress) -> None:
    source = Path(urllib.request.url2pathname(split_url(file.url).path))
    if source.is_dir():
        raise DownloadError(
            f"{source} is a folder; fetch an archive, or use the folder with --model-repository"
        )
    if not source.exists():
        raise DownloadError(f"there is no file {source}")
    if not source.is_file():
        raise DownloadError(f"{source} is not a regular file")

    size = source.stat().st_size
    if size > file.limit:
        raise DownloadError(f"{source} has {size} bytes, not the promised {file.limit}")

    with source.open("rb") as content, _open_part(part, 0) as output:
        while chunk := content.read(_CHUNK_BYTES):
            output.write(chunk)
    progress(size)


def _verify(file: Download, part: Path) -> None:
    """Compares a complete download with what was promised, and deletes it if it differs."""
    size = part.stat().st_size
    digest = sha256(part)
    if file.bytes is not None and size != file.bytes:
        part.unlink()
        raise DownloadError(
            f"{public_url(file.url)} has {size} bytes, not the promised {file.bytes}"
        )
    if file.sha256 is not None and digest != file.sha256:
        part.unlink()
        raise DownloadError(
            f"{public_url(file.url)} is not what was promised: "
            f"its SHA-256 is {digest[:12]}..., not {file.sha256[:12]}..."
        )


def _open_part(part: Path, start: int) -> BinaryIO:
    """Opens a part for writing at a position; never through a planted link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    output = os.fdopen(os.open(part, flags, 0o600), "wb")
    output.truncate(start)
    output.seek(start)
    return output


def _remove_unless_file(part: Path) -> None:
    try:
        mode = part.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        part.unlink()
