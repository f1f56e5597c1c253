"""Reading and parsing the messages of a request."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from dcgan.serving.api.errors import InvalidMessageError

Request = TypeVar("Request", bound=Message)

_LEAVING_S = 1.0  # gRPC reports the end of a request before it reports that the client has left


async def read_message(context: Any) -> bytes | None:  # noqa: ANN401 - of any message types
    """Waits for the only message of a request.

    Args:
        context: of the RPC, grpc.aio.ServicerContext.

    Returns:
        The message as it was sent; None if the client has ended its request without one.

    Raises:
        asyncio.CancelledError: if the client leaves.
    """
    message = await context.read()
    if isinstance(message, bytes):
        return message
    await asyncio.sleep(_LEAVING_S)
    return None


def parse_message(message_type: type[Request], data: bytes | None) -> Request:
    """Parses a message of a request.

    Args:
        message_type: type of the message.
        data: the message as it was sent; None if there is none.

    Raises:
        InvalidMessageError: if it cannot be parsed, or there is none.
    """
    try:
        if data is not None:
            return message_type.FromString(data)
    except (DecodeError, ValueError):
        pass
    raise InvalidMessageError(message_type.DESCRIPTOR.full_name)
