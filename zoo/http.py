"""HTTP downloads with a minimum speed and a limit on their total time."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError

from dcgan.core.errors import DcganError
from dcgan.core.text import first_line, printable, public_url
from dcgan.zoo.urls import is_web_url, join_url, split_url

_MAX_REDIRECTS = 5
_PIECE_BYTES = 1 << 16


class DownloadError(DcganError):
    """A file that cannot be downloaded, or that differs from what was promised."""


class ConnectionBrokenError(Exception):
    """A connection that failed in a way that another attempt may not."""


class Watchdog:
    """Closes the connections of a download that is too slow, from a thread of its own.

    Timeouts of a socket are not enough: a server that sends one byte now and then, endless
    headers or endless `100 Continue` never triggers them.

    Args:
        window_s: period in which a minimum must arrive, in seconds.
        min_bytes: that minimum.
        total_s: longest time of the whole download, in seconds.

    Attributes:
        reason: why connections were closed; None as long as they were not.
        is_final: whether the total time is over, so that no attempt may follow.
    """

    def __init__(self, *, window_s: float, min_bytes: int, total_s: float) -> None:
        self.reason: str | None = None
        self.is_final = False
        self._window_s = window_s
        self._min_bytes = min_bytes
        self._total_s = total_s
        self._deadline = time.monotonic() + total_s
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._window_start = 0.0
        self._received = 0
        self._is_watching = False
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the thread as long as a block lasts."""
        thread = threading.Thread(target=self._run, name="download-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._release()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Watches the connections that a block opens."""
        with self._lock:
            self.reason = None
            self._window_start = time.monotonic()
            self._received = 0
            self._is_watching = True
        try:
            yield
        finally:
            with self._lock:
                self._is_watching = False
            self._release()

    def watch(self, connection: socket.socket) -> None:
        """Adds a connection that is to be closed when the download is too slow."""
        # TLS takes the descriptor away from the socket, so keep a copy of it.
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._sockets.append(duplicate)

    def add(self, n: int) -> None:
        """Counts bytes of the body that have arrived."""
        with self._lock:
            self._received += n

    def _run(self) -> None:
        while not self._stop.wait(min(self._window_s / 4, 1.0)):
            with self._lock:
                if self._is_watching and self.reason is None:
                    self._check(time.monotonic())

    def _check(self, now: float) -> None:
        if now >= self._deadline:
            self.is_final = True
            self._close(f"it took longer than {self._total_s:g} s")
        elif now - self._window_start >= self._window_s:
            if self._received < self._min_bytes:
                speed = f"{self._received} bytes in {self._window_s:g} s"
                self._close(f"the server sent only {speed}")
            self._window_start = now
            self._received = 0

    def _close(self, reason: str) -> None:
        self.reason = reason
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself

    def _release(self) -> None:
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()


class HttpClient:
    """GET requests to one address and to the addresses that it redirects to.

    Args:
        url: the address; a proxy is used if the environment names one for it.
        timeout_s: longest time of connecting, and longest pause between two bytes, in seconds.
        watchdog: watches the connections.

    Raises:
        DownloadError: if the environment names a malformed proxy.
    """

    def __init__(self, url: str, timeout_s: float, watchdog: Watchdog) -> None:
        self._timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._manager = _make_manager(url)
        self._manager.pool_classes_by_scheme = _watched_pools(watchdog)
        self._watchdog = watchdog

    def close(self) -> None:
        """Closes all connections."""
        self._manager.clear()

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Sends a request, follows redirects, and gives the response, whose body is not read yet.

        Raises:
            ConnectionBrokenError: if the connection fails, in the block as well.
            DownloadError: if a redirect leads out of the web, from https to http, or in a circle.
        """
        try:
            with self._watchdog.attempt():
                response = self._follow(url, headers)
                try:
                    yield response
                finally:
                    response.close()
        except LocationParseError:
            raise DownloadError(f"{public_url(url)} is not a valid address") from None
        except HTTPError as error:
            raise ConnectionBrokenError(self._watchdog.reason or _reason(error)) from None

    def read(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Yields the body of a response in pieces, as they arrive.

        Raises:
            ConnectionBrokenError: if the connection was closed because it was too slow.
        """
        # `read1` returns what has arrived; `read` would wait for a whole piece from a slow server.
        while piece := response.read1(_PIECE_BYTES):
            self._watchdog.add(len(piece))
            yield piece
        if self._watchdog.reason is not None:
            raise ConnectionBrokenError(self._watchdog.reason)

    def _follow(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._manager.request(
                "GET",
                url,
                headers=headers,
                timeout=self._timeout,
                retries=False,  # the caller's policy decides, not a Retry-After of hours
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            location = response.get_redirect_location()
            if not location:
                return response

            response.close()
            url = check_redirect(url, join_url(url, location))
        raise DownloadError(f"cannot download {public_url(url)}: too many redirects")


def check_redirect(url: str, target: str) -> str:
    """Returns the target of a redirect or link if it may be followed.

    Raises:
        DownloadError: if it is not a web address, or gives up the protection of https.
    """
    if not is_web_url(target):
        raise DownloadError(
            f"{public_url(url)} leads to {public_url(target)}, which is not a web address"
        )
    if split_url(url).scheme == "https" and split_url(target).scheme != "https":
        raise DownloadError(
            f"{public_url(url)} leads to {public_url(target)}, which is not protected by https"
        )
    return target


def _watched_pools(watchdog: Watchdog) -> dict[str, Any]:
    class WatchedHttp(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watchdog.watch(connection)
            return connection

    class WatchedHttps(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watchdog.watch(connection)
            return connection

    class HttpPool(urllib3.HTTPConnectionPool):
        ConnectionCls = WatchedHttp

    class HttpsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = WatchedHttps

    return {"http": HttpPool, "https": HttpsPool}


def _make_manager(url: str) -> urllib3.PoolManager:
    """Returns a connection pool for an address, through the proxy that the environment names."""
    parts = split_url(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager()

    proxy = proxy if "://" in proxy else f"http://{proxy}"  # as other programs read it, too
    problem = (
        f"the variable {parts.scheme}_proxy does not hold the address of a proxy; "
        "write it as http://host:port, or unset it"
    )
    try:
        name = split_url(proxy).username
        password = split_url(proxy).password
        login = f"{unquote(name)}:{unquote(password or '')}" if name else None
        headers = urllib3.make_headers(proxy_basic_auth=login)
        return urllib3.ProxyManager(proxy, proxy_headers=headers)
    except (HTTPError, ValueError, DcganError):
        raise DownloadError(problem) from None


def _reason(error: HTTPError) -> str:
    """Returns what urllib3 reports, without the names of its objects."""
    cause = next((each for each in error.args if isinstance(each, Exception)), None)
    if isinstance(cause, http.client.IncompleteRead):
        return "the response broke off"
    if isinstance(cause, ConnectionError):
        return "the server closed the connection"
    if isinstance(cause, http.client.HTTPException):
        return f"the response is not valid HTTP: {printable(first_line(cause))}"
    return printable(first_line(error).rpartition(": ")[2]) or type(error).__name__
