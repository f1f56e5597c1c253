"""The part of an HTTP connection that the application may use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan.serving.http.protocol import LimitedProtocol


class Connection:
    """What the application may do with the connection of a request.

    Args:
        protocol: of the connection.
    """

    def __init__(self, protocol: LimitedProtocol) -> None:
        self._protocol = protocol
        self._tasks: set[asyncio.Task[Any]] = set()

    def enter(self, task: asyncio.Task[Any]) -> None:
        """Registers the task of a request, to be cancelled when the client leaves."""
        self._tasks.add(task)
        self._protocol.places.set_busy(self._protocol)

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Removes the task of a request."""
        self._tasks.discard(task)
        if not self._tasks:
            self._protocol.places.set_idle(self._protocol)

    def cancel(self) -> None:
        """Cancels the requests of a client that has left."""
        for task in self._tasks:
            task.cancel()

    async def flush(self) -> None:
        """Waits until the operating system has taken all that was sent."""
        if self._protocol.flow.write_paused:
            await self._protocol.flow.drain()

    def abort(self) -> None:
        """Disconnects a client that does not read."""
        self._protocol.transport.abort()
