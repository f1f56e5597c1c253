"""uvicorn's HTTP/1.1 protocol with limits for servers on open networks.

uvicorn has no limit on the head of a request or on the time to send it, closes half-closed
connections without an answer, and does not stop a request whose client has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dcgan.serving.errors import RequestError
from dcgan.serving.http.app import CONNECTION, REFUSAL
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.connection import Connection
from dcgan.serving.http.errors import (
    BodyTooLargeError,
    HeadersTooLargeError,
    HeaderTimeoutError,
    InvalidRequestError,
    TargetTooLongError,
    TooManyConnectionsError,
)
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.problem import TABLE, problem_response
from dcgan.serving.open_connections import OpenConnections
from dcgan.serving.peer import peer_of_socket

_FIELD_BYTES = 4  # of a header field beside its name and value
_LINGER_S = 2.0  # time to go on reading from a client that was refused
_MAX_LINGERING = 256  # connections over the limit that are answered; others are closed at once
_HALF_CLOSED_S = 1.0  # time to answer a client that has stopped sending, and may have left


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Subclasses set the attributes.

    Attributes:
        limits: of the server.
        metrics: of HTTP.
        places: connections of all clients.
        count_refusal: counts a request or a connection that is refused without the application.
    """

    limits: HttpConfig
    metrics: HttpMetrics
    places: OpenConnections
    count_refusal: Callable[[RequestError, int], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self._connection = Connection(self)
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._in_head = True
        self._in_body = False
        self._is_first_data = False
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a connection, or refuses it if too many are open and none of them is idle."""
        super().connection_made(transport)
        # With no buffer above the operating system's, a paused flow means an unread response.
        transport.set_write_buffer_limits(high=0)
        self.metrics.connections.set(len(self.connections))
        peer = peer_of_socket(self.client or ("", id(self)))
        if self.places.admit(self, peer, self.transport.close):
            self._start_timer(self.limits.header_timeout_s)
            return

        error = TooManyConnectionsError(self.limits.max_connections)
        if len(self.connections) <= len(self.places) + _MAX_LINGERING:
            self._refuse(error)
            return
        self._refused = True
        status, _ = TABLE[type(error)]
        self.count_refusal(error, status)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the requests of a client that has disconnected."""
        super().connection_lost(exc)
        self.metrics.connections.set(len(self.connections))
        self._stop_timer()
        self.places.remove(self)
        self._connection.cancel()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keeps a half-closed connection open for a moment, so that the response can be sent."""
        if not self._is_answering():
            return None
        self.cycle.keep_alive = False  # that of the last request, if several wait
        self._start_timer(_HALF_CLOSED_S)
        return True

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, within the limits."""
        if self._refused:
            return
        # Callbacks count a head that begins in this data; data that continues one counts in full.
        self._is_first_data = False
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.max_header_bytes and not self._refused:
            self._refuse_head()

    def handle_websocket_upgrade(self) -> None:
        """Never called: `Config(ws="none")`."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answers bytes that are not an HTTP request."""
        if not self._refused and not self.transport.is_closing():
            self._refuse(InvalidRequestError("this is not an HTTP/1.1 request; fix the client"))

    def on_message_begin(self) -> None:
        """Begins a request: its head must arrive in time."""
        if self._refused:
            return
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: self._connection}  # type: ignore[dict-item]
        self._in_head = True
        self._in_body = False
        self._is_first_data = True
        self._head_bytes = 0
        self._body_bytes = 0
        if not self._is_answering():
            self._start_timer(self.limits.header_timeout_s)

    def on_url(self, url: bytes) -> None:
        """Collects the target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header field; ignores the trailers of a body, which count as part of it."""
        if not self._in_head:
            self.on_body(name + value)
            return
        super().on_header(name, value)
        self._count(len(name) + len(value) + _FIELD_BYTES)

    def on_headers_complete(self) -> None:
        """Begins to answer a request."""
        if self._refused:
            return
        self._in_head = False
        self._stop_timer()
        self.places.set_busy(self)
        if self._head_bytes > self.limits.max_header_bytes:
            self._refuse_head()
            return
        if self._has_large_body():
            self._refuse(BodyTooLargeError(self.limits.max_body_bytes))
            return

        super().on_headers_complete()
        self._in_body = True
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the bytes after an upgrade are not HTTP

    def on_body(self, body: bytes) -> None:
        """Ignores the body of a request, up to a limit."""
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.max_body_bytes and not self._refused:
            self._refuse(BodyTooLargeError(self.limits.max_body_bytes))

    def on_response_complete(self) -> None:
        """Waits for the next request on the connection, for a while."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._start_timer(self.limits.idle_timeout_s)

    def on_message_complete(self) -> None:
        """Ends a request, unless it was refused before it began."""
        if not self._refused:
            self._in_body = False
            super().on_message_complete()

    def _has_large_body(self) -> bool:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return bool(lengths) and int(lengths[0]) > self.limits.max_body_bytes

    def _count(self, head_bytes: int) -> None:
        if self._is_first_data:
            self._head_bytes += head_bytes

    def _refuse_head(self) -> None:
        if len(getattr(self, "url", b"")) > self.limits.max_target_bytes:
            self._refuse(TargetTooLongError(self.limits.max_target_bytes))
        else:
            self._refuse(HeadersTooLargeError(self.limits.max_header_bytes))

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: RequestError) -> None:
        """Answers with a problem document, and closes the connection."""
        self._refused = True
        self._stop_timer()
        if self._is_answering():
            # The application answers, in order: earlier requests, and this one if it has begun.
            self.cycle.keep_alive = False
            if self._in_body:
                self.scope["extensions"][REFUSAL] = error  # type: ignore[assignment]
            return

        if not self._in_body:  # otherwise the request has been answered
            self._answer(error)
        # Read and ignore what the client still sends: to close at once would reset the connection,
        # and the client might never see the answer.
        self.transport.write_eof()
        self._start_timer(_LINGER_S)

    def _answer(self, error: RequestError) -> None:
        """Sends a problem document without the application."""
        response = problem_response(error)
        self.count_refusal(error, response.status)

        fields = dict(response.headers)
        fields["connection"] = "close"
        fields["content-length"] = str(len(response.body))
        lines = [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
        self.transport.write(
            b"".join((STATUS_LINE[response.status], *lines, b"\r\n", response.body))
        )

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        """Closes a connection that was silent for too long, or whose request did not arrive."""
        self._timer = None
        if self.transport.is_closing():
            return
        if self._is_answering():
            self.transport.abort()  # it is half-closed, and its answer takes long
        elif self._refused:
            self.transport.close()
        elif self._in_head and self._head_bytes:
            self._refuse(HeaderTimeoutError(self.limits.header_timeout_s))
        else:
            self.transport.close()


def create_protocol(
    config: HttpConfig, metrics: HttpMetrics, count_refusal: Callable[[RequestError, int], None]
) -> type[LimitedProtocol]:
    """Returns the protocol class for one server.

    Args:
        config: limits.
        metrics: of HTTP.
        count_refusal: counts a request or a connection that is refused without the application,
            with its status.
    """
    attributes = {
        "limits": config,
        "metrics": metrics,
        "places": OpenConnections(config.max_connections),
        "count_refusal": staticmethod(count_refusal),
    }
    return type("HttpProtocol", (LimitedProtocol,), attributes)
