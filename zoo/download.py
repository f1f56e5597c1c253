"""Downloads that end whole and proven, or not at all.

A download is a file `<name>.part` until every byte is there and its SHA-256 is right; then it is renamed. What has
arrived stays when the connection breaks, and the next attempt, or the next command, goes on from there.
"""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError

from dcgan.core.errors import DcganError
from dcgan.zoo.repository import sha256

_CHUNK = 1 << 16
_MOST_REDIRECTS = 5
# All else is for `RetryPolicy` to say, whatever a server wants: by default urllib3 obeys a Retry-After of hours.
_REDIRECTS_ONLY = urllib3.Retry(
    total=_MOST_REDIRECTS,
    connect=0,
    read=0,
    status=0,
    other=0,
    redirect=_MOST_REDIRECTS,
    respect_retry_after_header=False,
)
_PARTIAL, _RANGE_NOT_SATISFIABLE, _TOO_MANY_REQUESTS, _SERVER_ERROR = 206, 416, 429, 500


class DownloadError(DcganError):
    """Something that cannot be downloaded, or that is not what was promised."""


class _BrokenError(Exception):
    """A connection that failed in a way that may not last."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """What to fetch.

    Attributes:
        url: http, https or file.
        bytes: its size, where it is known.
        sha256: its digest, where it is known.
        most_bytes: what is accepted where the size is not known.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None
    most_bytes: int = 2**31


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long to put up with a server.

    Attributes:
        attempts: before giving up.
        timeout_s: without a byte, after which a connection counts as broken.
        backoff_s: before the second attempt; doubled before each further one.
    """

    attempts: int = 5
    timeout_s: float = 20.0
    backoff_s: float = 1.0


def download(
    what: Download,
    target: Path,
    retry: RetryPolicy | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Fetches a file, going on where an earlier attempt ended.

    Args:
        what: the source, with the size and digest to hold it to.
        target: where it goes, once it is whole and proven.
        retry: with the server.
        progress: called with the number of bytes that lie on the disk, from time to time.

    Raises:
        DownloadError: if the source is missing, does not answer in time, or is not what was promised.
    """
    retry = retry or RetryPolicy()
    part = target.with_name(f"{target.name}.part")
    progress = progress or (lambda _: None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        _receive(what, part, retry, progress)
        if resumed and what.sha256 not in (None, sha256(part)):
            part.unlink()  # the earlier piece may have been of something else
            _receive(what, part, retry, progress)
        _prove(what, part)
        part.replace(target)
    except OSError as error:
        raise DownloadError(
            f"cannot write the download to {target.parent}: {error.strerror}"
        ) from None


def split_url(url: str) -> SplitResult:
    """Takes an address apart.

    Raises:
        DownloadError: if it is malformed.
    """
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DownloadError(f"{url!r:.200} is no address: {error}") from None


def _receive(
    what: Download, part: Path, retry: RetryPolicy, progress: Callable[[int], None]
) -> None:
    """Brings every byte to the disk, in as many attempts as it may take."""
    if split_url(what.url).scheme == "file":
        _copy(what, part, progress)
        return
    if split_url(what.url).scheme not in ("http", "https"):
        raise DownloadError(f"{what.url:.200} is no http, https or file address")
    with _manager(what.url) as pool:
        for attempt in range(retry.attempts):
            try:
                _receive_once(pool, what, part, retry, progress)
            except _BrokenError as error:
                if attempt + 1 == retry.attempts:
                    raise DownloadError(
                        f"cannot download {what.url:.200}: {error}; tried {retry.attempts} times, "
                        "what has arrived is kept for the next try"
                    ) from None
                time.sleep(retry.backoff_s * 2**attempt)
            else:
                return


def _receive_once(
    pool: urllib3.PoolManager,
    what: Download,
    part: Path,
    retry: RetryPolicy,
    progress: Callable[[int], None],
) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start and start == what.bytes:
        return
    try:
        response = pool.request(
            "GET",
            what.url,
            headers={"Accept-Encoding": "identity"}
            | ({"Range": f"bytes={start}-"} if start else {}),
            timeout=urllib3.Timeout(connect=retry.timeout_s, read=retry.timeout_s),
            retries=_REDIRECTS_ONLY,
            preload_content=False,
            decode_content=False,
        )
        try:
            start = _check_answer(what, response, part, start)
            _append(what, response, part, start, progress)
        finally:
            response.close()
    except MaxRetryError as error:
        raise _BrokenError(_reason(error.reason or error)) from None
    except HTTPError as error:
        raise _BrokenError(_reason(error)) from None


def _check_answer(
    what: Download, response: urllib3.BaseHTTPResponse, part: Path, start: int
) -> int:
    """Reads the head of an answer and returns where its body belongs in the file."""
    status = response.status
    if status == _RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise _BrokenError("the server refused to go on where the last attempt ended")
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        raise _BrokenError(f"the server answered {status}")
    if status not in (200, _PARTIAL):
        raise DownloadError(f"cannot download {what.url:.200}: the server answered {status}")
    if status == _PARTIAL and not response.headers.get("Content-Range", "").startswith(
        f"bytes {start}-"
    ):
        part.unlink(missing_ok=True)
        raise _BrokenError("the server sent another piece than was asked for")
    start = start if status == _PARTIAL else 0
    length = response.headers.get("Content-Length", "")
    if what.bytes is not None and length.isdecimal() and start + int(length) != what.bytes:
        raise DownloadError(
            f"{what.url:.200} has {start + int(length)} bytes, not the promised {what.bytes}"
        )
    return start


def _append(
    what: Download,
    response: urllib3.BaseHTTPResponse,
    part: Path,
    start: int,
    progress: Callable[[int], None],
) -> None:
    limit, size = what.bytes or what.most_bytes, start
    with part.open("ab") as file:
        file.truncate(start)
        for chunk in response.stream(_CHUNK):
            size += len(chunk)
            if size > limit:
                file.close()
                part.unlink()
                raise DownloadError(f"{what.url:.200} goes on after the promised {limit} bytes")
            file.write(chunk)
            progress(size)
    if what.bytes is not None and size < what.bytes:
        raise _BrokenError(f"the connection ended after {size} of {what.bytes} bytes")


def _copy(what: Download, part: Path, progress: Callable[[int], None]) -> None:
    source = Path(urllib.request.url2pathname(split_url(what.url).path))
    if source.is_dir():
        raise DownloadError(
            f"{source} is a folder; fetch an archive, or look into the folder with --model-repository"
        )
    try:
        size = source.stat().st_size
        if size > (what.bytes or what.most_bytes):
            raise DownloadError(
                f"{source} has {size} bytes, not the promised {what.bytes or what.most_bytes}"
            )
        shutil.copyfile(source, part)
    except FileNotFoundError:
        raise DownloadError(f"there is no file {source}") from None
    progress(size)


def _prove(what: Download, part: Path) -> None:
    """Holds a complete download to what was promised; one that is not is deleted."""
    size, digest = part.stat().st_size, sha256(part)
    if what.bytes is not None and size != what.bytes:
        part.unlink()
        raise DownloadError(f"{what.url:.200} has {size} bytes, not the promised {what.bytes}")
    if what.sha256 is not None and digest != what.sha256:
        part.unlink()
        raise DownloadError(
            f"{what.url:.200} is not what was promised: its SHA-256 is {digest[:12]}..., not {what.sha256[:12]}..."
        )


def _manager(url: str) -> urllib3.PoolManager:
    """Connections for one address, through the proxy that the environment names.

    Raises:
        DownloadError: if that is no address.
    """
    parts = split_url(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager()
    proxy = proxy if "://" in proxy else f"http://{proxy}"  # as others take it, too
    name, password = split_url(proxy).username, split_url(proxy).password
    login = f"{unquote(name)}:{unquote(password or '')}" if name else None
    try:
        return urllib3.ProxyManager(
            proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=login)
        )
    except (HTTPError, ValueError):
        problem = f"{parts.scheme}_proxy is no address of a proxy"
        raise DownloadError(f"{problem}; write it as http://host:port, or unset it") from None


def _reason(error: Exception) -> str:
    """What urllib3 says, without the names of its objects."""
    return str(error).rpartition(": ")[2][:200] or type(error).__name__
