"""The HTTP port for operators: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes.

It runs in its thread, with its event loop, a limit of connections and a time limit for each, so
that whatever happens on this port cannot starve the data port. When all places are taken, idle
connections make room for new ones.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from dcgan.serving.address import join_address
from dcgan.serving.errors import ServingError
from dcgan.serving.open_connections import OpenConnections
from dcgan.serving.peer import peer_of_socket

_MAX_CONNECTIONS = 64
_CONNECTION_TIMEOUT_S = 10.0
_MAX_HEAD_BYTES = 8192  # request line and headers
_LOOP_TIMEOUT_S = 2.0  # in which the event loop of the server must answer to be alive
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class HttpResponse:
    """Response of the operators' port.

    Attributes:
        status: HTTP status.
        body: content.
        content_type: of the body.
    """

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT

    def to_bytes(self, *, with_body: bool) -> bytes:
        """Returns the response as HTTP/1.1."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (self.body if with_body else b"")


class MetricsServer:
    """Serves metrics and health over HTTP. Create and start it on the event loop of the server.

    Args:
        registry: the metrics.
        is_ready: whether the server is ready.
        host: address to listen on.
        port: to listen on; 0 for any free port.

    Attributes:
        port: the port that it listens on.
    """

    def __init__(
        self, registry: CollectorRegistry, is_ready: Callable[[], bool], host: str, port: int
    ) -> None:
        self.port = port
        self._registry = registry
        self._is_ready = is_ready
        self._host = host
        self._server_loop = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._is_listening = Event()
        self._connections = OpenConnections(_MAX_CONNECTIONS)

    def start(self) -> None:
        """Opens the port.

        Raises:
            ServingError: if the port is taken.
        """
        try:
            listener = _listen(self._host, self.port)
        except OSError as error:
            address = join_address(self._host, self.port)
            advice = "choose another --metrics-port or --metrics-host"
            if error.errno == errno.EADDRINUSE:
                # This port is opened first, so a second server on the default ports ends here.
                advice += "; a second server needs another --port and --http-port, too"
            raise ServingError(
                f"cannot listen on {address} for metrics: {error.strerror}; {advice}"
            ) from None

        self.port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(
            target=self._run, args=(self._loop, listener), name="metrics", daemon=True
        )
        self._thread.start()
        self._is_listening.wait()  # the loop can be stopped only once it runs for ever

    def stop(self) -> None:
        """Closes the port."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def respond(self, method: str, target: str, accept: str = "") -> HttpResponse:
        """Returns the response to a request.

        Args:
            method: of HTTP.
            target: path and query.
            accept: the Accept header, which chooses the format of the metrics.
        """
        if method not in ("GET", "HEAD"):
            return HttpResponse(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD are allowed\n")

        url = urlsplit(target)
        if url.path == "/metrics":
            names = parse_qs(url.query).get("name[]")
            registry = self._registry.restricted_registry(names) if names else self._registry
            encode, content_type = _choose_encoder(accept)
            return HttpResponse(HTTPStatus.OK, encode(registry), content_type)
        if url.path == "/healthz":
            return _health(is_well=self._is_alive(), well="alive", unwell="the event loop hangs")
        if url.path == "/readyz":
            is_ready = self._is_ready() and self._is_alive()
            return _health(is_well=is_ready, well="ready", unwell="not ready")
        return HttpResponse(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n")

    def _is_alive(self) -> bool:
        """Returns whether the event loop of the server runs callbacks."""

        async def answer() -> None:
            pass

        try:
            asyncio.run_coroutine_threadsafe(answer(), self._server_loop).result(_LOOP_TIMEOUT_S)
        except (TimeoutError, RuntimeError):  # RuntimeError: the loop is closed
            return False
        return True

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Runs in the thread until the loop is stopped."""
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            asyncio.start_server(self._serve, sock=listener, limit=_MAX_HEAD_BYTES)
        )
        self._is_listening.set()
        loop.run_forever()

        # Drop the connections that are open.
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request of a connection, within the time limit."""
        transport = writer.transport
        address = writer.get_extra_info("peername")
        if address is None:  # the client has left
            transport.abort()
            return
        if not self._connections.admit(writer, peer_of_socket(address), transport.abort):
            transport.abort()
            return

        transport.set_write_buffer_limits(0)  # so that `drain` waits for all of it
        try:
            async with asyncio.timeout(_CONNECTION_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                self._connections.set_busy(writer)
                response = await self._answer(head)
                self._connections.set_idle(writer)
                writer.write(response)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, EOFError, ValueError, OSError, asyncio.LimitOverrunError):
            pass  # an incomplete or oversized request, or a client that has left
        finally:
            self._connections.remove(writer)
            transport.abort()

    async def _answer(self, head: bytes) -> bytes:
        request_line, *headers = head.decode("latin-1").split("\r\n")
        method, target, _ = request_line.split(" ")
        fields = (line.partition(":") for line in headers)
        accept = next((value.strip() for name, _, value in fields if name.lower() == "accept"), "")
        # Collecting takes milliseconds, and a health probe may wait for the other event loop.
        response = await asyncio.to_thread(self.respond, method, target, accept)
        return response.to_bytes(with_body=method != "HEAD")


def _choose_encoder(accept: str) -> tuple[Callable[[Any], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a malformed version
        return choose_encoder("")


def _health(*, is_well: bool, well: str, unwell: str) -> HttpResponse:
    if is_well:
        return HttpResponse(HTTPStatus.OK, f"{well}\n".encode())
    return HttpResponse(HTTPStatus.SERVICE_UNAVAILABLE, f"{unwell}\n".encode())


def _listen(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM
    )[0]

    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
