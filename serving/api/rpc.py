"""RPCs from their headers to their status: limits, accounting, errors and the log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import grpc

from dcgan.core.text import printable
from dcgan.serving.api.errors import DrainingError, engine_fault
from dcgan.serving.api.in_flight import Call, InFlight
from dcgan.serving.api.request_stream import Request, parse_message, read_message
from dcgan.serving.api.status import PUSHBACK_KEY, GrpcStatus, status_of
from dcgan.serving.errors import RequestError
from dcgan.serving.observability.metrics import MethodMetrics, Metrics

REQUEST_ID_KEY = "x-request-id"
COPIES = 2
"""Times that a reply is in memory: gRPC copies the message, and keeps the original as well."""

_ATTEMPTS_KEY = "grpc-previous-rpc-attempts"
_AFTER_DRAIN_MS = 200
_MAX_REQUEST_ID_LENGTH = 64
_TRANSIT_S = 0.1  # the client's deadline passes up to this much earlier than the server's

logger = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = Callable[[object, Context], Coroutine[Any, Any, bytes | None]]


class RpcMethods:
    """Turns functions that answer requests into handlers of gRPC.

    Args:
        service: full name of the service.
        in_flight: counts and limits the calls.
        metrics: of the server.
    """

    def __init__(self, service: str, in_flight: InFlight, metrics: Metrics) -> None:
        self.in_flight = in_flight
        self._service = service
        self._metrics = metrics

    def count_refusal(self, reason: str) -> None:
        """Counts a refused call by its reason."""
        self._metrics.rejected.labels(reason).inc()

    def unary(
        self,
        method: str,
        request_type: type[Request],
        handler: Callable[[Request, Context, Call], Awaitable[bytes]],
    ) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
        """Returns the handler of a method with one reply.

        Args:
            method: its name.
            request_type: type of its request.
            handler: returns the serialized reply.
        """
        metrics = self._metrics.of_method(self._service, method, "unary")
        return grpc.stream_unary_rpc_method_handler(
            self._wrap(method, metrics, request_type, handler)
        )

    def server_stream(
        self,
        method: str,
        request_type: type[Request],
        handler: Callable[[Request, Context, Call], Awaitable[None]],
    ) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
        """Returns the handler of a method with a stream of replies.

        Args:
            method: its name.
            request_type: type of its request.
            handler: writes the replies.
        """
        metrics = self._metrics.of_method(self._service, method, "server_stream")
        return grpc.stream_stream_rpc_method_handler(
            self._wrap(method, metrics, request_type, handler)
        )

    def _wrap(
        self,
        method: str,
        metrics: MethodMetrics,
        request_type: type[Request],
        handler: Callable[[Request, Context, Call], Awaitable[bytes | None]],
    ) -> Handler:
        """Wraps a handler: reads the request, counts the RPC, and turns errors into statuses.

        The result is registered as a handler of request streams, because gRPC calls those when the
        headers arrive, so that the time until the request arrives can be limited.
        """
        answer = partial(_answer, request_type, handler)

        async def handle(_: object, context: Context) -> bytes | None:
            return await self._handle(method, metrics, answer, context)

        return handle

    async def _handle(
        self,
        method: str,
        metrics: MethodMetrics,
        answer: Callable[[Context, Call], Awaitable[bytes | None]],
        context: Context,
    ) -> bytes | None:
        """Answers an RPC, counts it, and turns an error into a status."""
        began = time.perf_counter()
        metrics.started.inc()
        call = self.in_flight.begin_call(context.peer(), asyncio.current_task())
        _on_rpc_done(context, call.end)

        reply: bytes | None = None
        failure: GrpcStatus | None = None
        code = grpc.StatusCode.CANCELLED
        try:
            reply = await answer(context, call)
            code = grpc.StatusCode.OK
        except (asyncio.CancelledError, grpc.aio.BaseError) as error:
            if call.error is None:
                # The client has left, writing to it failed, or the server has stopped.
                if _is_deadline_over(context):
                    code = grpc.StatusCode.DEADLINE_EXCEEDED
                raise asyncio.CancelledError from error
            failure = await self._failure(call.error, call, context)
            code = failure.code
        except Exception as error:  # noqa: BLE001 - it is logged, and no client sees a trace
            failure = await self._failure(error, call, context)
            code = failure.code
        finally:  # count it before the client has the answer, and may read the metrics
            call.answer()
            seconds = time.perf_counter() - began
            metrics.ended(code, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                _log_call(method, code, seconds, context)

        if failure is not None:
            await context.abort(failure.code, failure.message, failure.trailers)
        return reply

    async def _failure(self, error: Exception, call: Call, context: Context) -> GrpcStatus:
        """Counts an error and returns its status; one in a drain may have to wait first."""
        if not isinstance(error, RequestError):
            error = engine_fault(error, _request_id(context))
        self.count_refusal(error.reason)
        failure = status_of(error)
        if isinstance(error, DrainingError) and _is_retry(context):
            return await self._postpone(failure, call, context)
        return failure

    async def _postpone(self, failure: GrpcStatus, call: Call, context: Context) -> GrpcStatus:
        """Keeps an attempt that is not the first until the end of the drain.

        A client that balances its load over this server and slow ones could use up all attempts
        before a drain ends. The trailer delays its next attempt until the port is closed.
        """
        left_s = context.time_remaining()
        try:
            await self.in_flight.postpone(None if left_s is None else left_s / 2)
        except asyncio.CancelledError:
            if call.error is None:
                raise
            return failure  # the call has lived too long
        pushback = (PUSHBACK_KEY, str(_AFTER_DRAIN_MS))
        return replace(failure, trailers=(*failure.trailers, pushback))


async def _answer(
    request_type: type[Request],
    handler: Callable[[Request, Context, Call], Awaitable[bytes | None]],
    context: Context,
    call: Call,
) -> bytes | None:
    """Reads the request and runs its handler, under the limits of the client."""
    call.check_calls()
    message = await read_message(context)
    call.arrive()
    request = parse_message(request_type, message)
    call.admit()
    reply = await handler(request, context, call)
    if reply is not None:
        call.hold(len(reply), COPIES)
    return reply


def _is_deadline_over(context: Context) -> bool:
    left_s = context.time_remaining()
    return left_s is not None and left_s < _TRANSIT_S


def _is_retry(context: Context) -> bool:
    """Returns whether the client has made this RPC before (gRFC A6)."""
    return any(key == _ATTEMPTS_KEY for key, _ in context.invocation_metadata() or ())


def _on_rpc_done(context: Context, callback: Callable[[], None]) -> None:
    """Calls back once the client has read the last byte of an RPC, or has left."""
    # The stubs reject functions.
    context.add_done_callback(lambda _: callback())  # type: ignore[arg-type]


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY:
            return printable(value, _MAX_REQUEST_ID_LENGTH)
    return uuid.uuid4().hex


def _log_call(method: str, code: grpc.StatusCode, seconds: float, context: Context) -> None:
    logger.debug(
        "%s from %s ended with %s after %.1f ms, request %s",
        method,
        printable(context.peer()),
        code.name,
        1000 * seconds,
        _request_id(context),
    )
