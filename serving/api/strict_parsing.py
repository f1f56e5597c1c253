"""Standard gRPC services that answer unparsable requests with INVALID_ARGUMENT.

gRPC answers them with UNKNOWN and logs a traceback for each, which a client can repeat at will.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from dcgan.serving.api.errors import InvalidMessageError
from dcgan.serving.api.status import status_of

_Context = Any  # grpc.aio.ServicerContext of any message


class StrictParsing:
    """Stands in for a server while a generated function registers a servicer with it.

    Args:
        server: the server to register with.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        """Does nothing: generated code registers the same handlers by `add_registered...`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Registers the handlers of a service."""
        wrapped = {name: _wrap(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, wrapped),)
        )


def _wrap(handler: Any) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
    """Returns a handler that parses its requests itself."""
    parse = handler.request_deserializer
    serialize = handler.response_serializer
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(
            _wrap_stream(handler.stream_stream, parse), response_serializer=serialize
        )
    if handler.response_streaming:
        watch = handler.unary_stream

        async def stream(data: bytes, context: _Context) -> None:
            await watch(await _parse(parse, data, context), context)

        return grpc.unary_stream_rpc_method_handler(stream, response_serializer=serialize)

    answer = handler.unary_unary

    async def unary(data: bytes, context: _Context) -> Message:
        reply: Message = await answer(await _parse(parse, data, context), context)
        return reply

    return grpc.unary_unary_rpc_method_handler(unary, response_serializer=serialize)


def _wrap_stream(
    answer: Callable[[AsyncIterator[Message], _Context], AsyncIterator[Message]],
    parse: Callable[[bytes], Message],
) -> Callable[[AsyncIterator[bytes], _Context], AsyncIterator[Message]]:
    async def stream(requests: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Message]:
        async def parsed() -> AsyncIterator[Message]:
            async for data in requests:
                yield await _parse(parse, data, context)

        async for reply in answer(parsed(), context):
            yield reply

    return stream


async def _parse(parse: Callable[[bytes], Message], data: bytes, context: _Context) -> Message:
    """Parses a request, or ends the RPC with INVALID_ARGUMENT."""
    try:
        return parse(data)
    except (DecodeError, ValueError):
        kind = getattr(getattr(parse, "__self__", None), "DESCRIPTOR", None)
        name = kind.full_name if kind is not None else "message"
        status = status_of(InvalidMessageError(name))
        await context.abort(status.code, status.message, status.trailers)
        raise
