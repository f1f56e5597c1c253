"""Accounting of the calls in flight and of the replies that clients have not read yet."""

from __future__ import annotations

import asyncio

from dcgan.serving.api.errors import UnreadRepliesError


class InFlight:
    """Counts calls until their client has read the last byte.

    Args:
        max_unread_bytes: bytes of unread replies above which no more are made.

    Attributes:
        unread_bytes: size of the finished unary replies that clients have not read yet. A stream is
            not counted: it waits until the client has read a chunk before it writes the next.
    """

    def __init__(self, max_unread_bytes: int) -> None:
        self.unread_bytes = 0
        self._max_unread_bytes = max_unread_bytes
        self._calls = 0
        self._begun = 0  # number of calls since the start
        self._idle = asyncio.Event()

    def begin_call(self) -> None:
        """Counts a call as in flight."""
        self._calls += 1
        self._begun += 1

    def end_call(self) -> None:
        """Counts a call as over."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight."""
        while self._calls:
            self._idle.clear()
            await self._idle.wait()

    async def wait_until_quiet(self, quiet_s: float) -> None:
        """Waits until no call has begun for some time, and none is in flight."""
        begun = -1
        while self._calls or begun != self._begun:
            begun = self._begun
            await asyncio.sleep(quiet_s)

    def check_unread(self) -> None:
        """Checks that there is room for another reply.

        Raises:
            UnreadRepliesError: if there is none.
        """
        if self.unread_bytes > self._max_unread_bytes:
            raise UnreadRepliesError(self._max_unread_bytes)
