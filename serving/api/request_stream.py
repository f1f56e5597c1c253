"""Reading the only message of a request from the stream of its messages."""

from __future__ import annotations

import asyncio
from typing import Any

_LEAVING_S = 1.0  # gRPC reports the end of a request before it reports that the client has left


async def read_message(context: Any) -> bytes | None:  # noqa: ANN401 - of any message types
    """Waits for the message of a request.

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
