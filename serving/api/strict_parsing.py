"""Standard gRPC services under the limits and with the errors of this server.

Without it, gRPC answers unparsable requests with UNKNOWN and logs a traceback for each, which a
client can repeat at will, and calls count towards no limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import Message

from dcgan.serving.api.accept_loop import TolerantServer
from dcgan.serving.api.in_flight import Call, InFlight
from dcgan.serving.api.request_stream import parse_message, read_message
from dcgan.serving.api.status import status_of
from dcgan.serving.errors import RequestError

_Context = Any  # grpc.aio.ServicerContext of any message
_Handler = Callable[[Any, _Context], Awaitable[Message | None]]


class StrictParsing:
    """Stands in for a server while a generated function registers a servicer with it.

    Args:
        server: the server to register with.
        in_flight: counts and limits the calls; a drain does not wait for them.
        count_refusal: counts a refused call by its reason.
    """

    def __init__(
        self, server: TolerantServer, in_flight: InFlight, count_refusal: Callable[[str], None]
    ) -> None:
        self._server = server
        self._in_flight = in_flight
        self._count_refusal = count_refusal

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        """Does nothing: generated code registers the same handlers by `add_registered...`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Registers the handlers of a service."""
        wrapped = {name: self._wrap(handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, wrapped)

    def _wrap(self, handler: Any) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
        """Returns a handler that reads and parses its requests itself."""
        request_type = handler.request_deserializer.__self__  # its method FromString
        serialize = handler.response_serializer
        if handler.request_streaming:
            answer = self._limited(_stream_handler(handler.stream_stream, request_type))
            return grpc.stream_stream_rpc_method_handler(answer, response_serializer=serialize)

        if handler.response_streaming:
            answer = self._limited(_message_handler(handler.unary_stream, request_type))
            return grpc.stream_stream_rpc_method_handler(answer, response_serializer=serialize)

        answer = self._limited(_message_handler(handler.unary_unary, request_type))
        return grpc.stream_unary_rpc_method_handler(answer, response_serializer=serialize)

    def _limited(self, answer: Callable[[_Context, Call], Awaitable[Any]]) -> _Handler:
        """Returns a handler that counts and limits the calls of another one."""

        async def handle(_: object, context: _Context) -> Message | None:
            call = self._in_flight.begin_call(context.peer(), asyncio.current_task())
            context.add_done_callback(lambda _: call.end())
            try:
                call.check_calls()
                reply: Message | None = await answer(context, call)
                return reply
            except RequestError as error:
                await self._abort(error, context)
                raise
            except asyncio.CancelledError:
                if call.error is not None:
                    await self._abort(call.error, context)
                raise
            finally:
                call.answer()

        return handle

    async def _abort(self, error: RequestError, context: _Context) -> None:
        self._count_refusal(error.reason)
        status = status_of(error)
        await context.abort(status.code, status.message, status.trailers)


def _message_handler(
    answer: Callable[[Message, _Context], Awaitable[Message | None]],
    request_type: type[Message],
) -> Callable[[_Context, Call], Awaitable[Message | None]]:
    """Returns a handler of a request of one message."""

    async def handle(context: _Context, call: Call) -> Message | None:
        message = await read_message(context)
        call.arrive()
        return await answer(parse_message(request_type, message), context)

    return handle


def _stream_handler(
    answer: Callable[[AsyncIterator[Message], _Context], AsyncIterator[Message]],
    request_type: type[Message],
) -> Callable[[_Context, Call], Awaitable[None]]:
    """Returns a handler of a stream of requests, of which the first has to arrive in time."""

    async def handle(context: _Context, call: Call) -> None:
        async def parsed() -> AsyncIterator[Message]:
            while isinstance(data := await context.read(), bytes):
                call.arrive()
                yield parse_message(request_type, data)

        async for reply in answer(parsed(), context):
            await context.write(reply)

    return handle
