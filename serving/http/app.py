"""The ASGI application: request ids, errors, CORS, security headers, metrics and the access log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from dcgan.serving.api.errors import engine_fault
from dcgan.serving.api.in_flight import Call, InFlight
from dcgan.serving.errors import RequestError
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.cors import Cors
from dcgan.serving.http.errors import InvalidRequestError, TargetTooLongError
from dcgan.serving.http.metrics import CLIENT_LEFT, HttpMetrics
from dcgan.serving.http.path import COLLECTIONS
from dcgan.serving.http.problem import problem_response
from dcgan.serving.http.request import Request, read_deadline, read_headers, read_request_id
from dcgan.serving.http.response import Response
from dcgan.serving.peer import name_peer

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

CONNECTION = "dcgan.connection"
"""ASGI extension in which the server passes the connection of a request."""

REFUSAL = "dcgan.refusal"
"""ASGI extension with the RequestError of a request whose body turned out to be faulty."""

_MAX_LOGGED = 200  # characters of a path in the access log

access_logger = logging.getLogger("dcgan.serving.http.access")


class HttpApp:
    """Turns ASGI calls into requests, and their results into responses.

    Args:
        handler: answers requests.
        config: limits, CORS and log.
        metrics: of HTTP.
        in_flight: accounting that gRPC shares.
        count_refusal: counts a refused request by its reason.
        is_draining: whether clients are asked to connect to another server.
    """

    def __init__(
        self,
        handler: Handler,
        config: HttpConfig,
        metrics: HttpMetrics,
        in_flight: InFlight,
        *,
        count_refusal: Callable[[str], None],
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._handler = handler
        self._config = config
        self._metrics = metrics
        self._in_flight = in_flight
        self._count_refusal = count_refusal
        self._is_draining = is_draining
        self._cors = Cors(config.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answers one request; see the ASGI specification. Bodies of requests are not read."""
        began = time.perf_counter()
        connection = scope.get("extensions", {}).get(CONNECTION)
        headers = read_headers(scope["headers"])
        request_id = read_request_id(headers.get("x-request-id"))
        status = CLIENT_LEFT
        size = 0

        self._metrics.started()
        client = scope.get("client") or ("", 0)
        call = self._in_flight.begin_call(name_peer(*client))
        call.admit()
        if connection is not None:
            connection.enter(asyncio.current_task())

        try:
            response = await self._respond(scope, headers, request_id, call)
            response = self._finish(response, headers, request_id)
            status = response.status
            size = len(response.body)
            # Count it before the client has the response, and may read the metrics.
            seconds = time.perf_counter() - began
            self._metrics.ended(_resource(scope["raw_path"]), status, seconds)
            await self._send(response, send, connection, call)
        except asyncio.CancelledError:
            if status == CLIENT_LEFT:
                seconds = time.perf_counter() - began
                self._metrics.ended(_resource(scope["raw_path"]), status, seconds)
        finally:
            call.end()
            if connection is not None:
                connection.leave(asyncio.current_task())

        if self._config.access_log:
            _log_access(scope, status, size, time.perf_counter() - began, request_id)

    def record_refusal(self, error: RequestError, status: int) -> None:
        """Counts a request that the server refused without the application.

        Args:
            error: why.
            status: of the response.
        """
        self._metrics.refused(status)
        self._count_refusal(error.reason)

    async def _respond(
        self, scope: Scope, headers: Mapping[str, str], request_id: str, call: Call
    ) -> Response:
        try:
            call.check_calls()
            _check_body(scope)
            self._check_limits(scope)
            request = Request(
                method=scope["method"],
                raw_path=scope["raw_path"],
                query=scope["query_string"],
                headers=headers,
                deadline=read_deadline(headers.get("grpc-timeout"), self._config.request_timeout_s),
                request_id=request_id,
                call=call,
            )

            if self._cors.is_preflight(request):
                return self._cors.preflight_response(request)
            response = await self._handler(request)
            _check_body(scope)
            return response
        except RequestError as error:
            self._count_refusal(error.reason)
            return problem_response(error, request_id)
        except Exception as error:  # noqa: BLE001 - it is logged, and no client sees a trace
            fault = engine_fault(error, request_id)
            self._count_refusal(fault.reason)
            return problem_response(fault, request_id)

    def _check_limits(self, scope: Scope) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > self._config.max_target_bytes:
            raise TargetTooLongError(self._config.max_target_bytes)
        if scope["http_version"] == "1.1":
            hosts = sum(name == b"host" for name, _ in scope["headers"])
            if hosts != 1:
                raise InvalidRequestError("HTTP/1.1 requires exactly one Host header field")

    def _finish(self, response: Response, headers: Mapping[str, str], request_id: str) -> Response:
        """Adds the header fields that every response has."""
        fields = dict(response.headers)
        fields["x-request-id"] = request_id
        fields["x-content-type-options"] = "nosniff"
        fields |= self._cors.response_headers(headers.get("origin"))
        if self._is_draining():
            fields["connection"] = "close"
        return Response(response.status, response.body, fields, response.has_length)

    async def _send(
        self,
        response: Response,
        send: Send,
        connection: Any,  # noqa: ANN401
        call: Call,
    ) -> None:
        fields = [
            (name.encode(), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        if response.has_length and response.status not in (204, 304):
            fields.append((b"content-length", str(len(response.body)).encode()))
        start = {"type": "http.response.start", "status": response.status, "headers": fields}

        # Count the response as unread until the client has taken it.
        call.count_unread(len(response.body))
        try:
            # The server waits for a slow reader in `send` as well, e.g. after the head.
            async with asyncio.timeout(self._config.read_timeout_s):
                await send(start)
                await send({"type": "http.response.body", "body": response.body})
                if connection is not None:
                    await connection.flush()
        except TimeoutError:
            if connection is not None:
                connection.abort()
        finally:
            call.release()


def _check_body(scope: Scope) -> None:
    """Raises the error of a body that is too large or cannot be parsed, as far as it has come."""
    refusal = scope.get("extensions", {}).get(REFUSAL)
    if refusal is not None:
        raise refusal


def _resource(raw_path: bytes) -> str:
    """Returns the kind of an address, for metrics."""
    segments = raw_path.split(b"/", 7)
    if raw_path.startswith(b"/v1/models"):
        for segment in segments[4:6]:
            if segment.decode("latin-1") in COLLECTIONS:
                return segment.decode("latin-1")
        return "models"
    if raw_path in (b"/healthz", b"/readyz"):
        return "health"
    return "page"


def _log_access(scope: Scope, status: int, size: int, seconds: float, request_id: str) -> None:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    client = scope.get("client")
    fields = {
        "client": client[0] if client else "",
        "method": scope["method"],
        "target": target[:_MAX_LOGGED].decode("latin-1").encode("unicode_escape").decode(),
        "status": status,
        "bytes": size,
        "ms": round(seconds * 1000, 2),
        "request_id": request_id,
    }

    access_logger.info(
        "%(method)s %(target)s %(status)s %(bytes)s bytes %(ms)s ms, client %(client)s, "
        "request %(request_id)s",
        fields,
        extra={"fields": fields},
    )
