"""Accounting of the calls in flight and of the replies that clients have not read yet."""

from __future__ import annotations

import asyncio
import contextlib

from dcgan.serving.api.errors import UnreadRepliesError


class InFlight:
    """Counts calls until their client has read the last byte.

    Args:
        max_unread_bytes: bytes of unread replies above which no more are made.

    Attributes:
        unread_bytes: size of the finished unary replies that clients have not read yet. A stream is
            not counted: it waits until the client has read a chunk before it writes the next.
        held: number of calls in `hold`.
    """

    def __init__(self, max_unread_bytes: int) -> None:
        self.unread_bytes = 0
        self.held = 0
        self._max_unread_bytes = max_unread_bytes
        self._calls = 0
        self._begun = 0  # number of calls since the start
        self._changed = asyncio.Event()
        self._released = asyncio.Event()

    def begin_call(self) -> None:
        """Counts a call as in flight."""
        self._calls += 1
        self._begun += 1

    def end_call(self) -> None:
        """Counts a call as over."""
        self._calls -= 1
        self._changed.set()

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight, except for those that are held."""
        while self._calls > self.held:
            self._changed.clear()
            await self._changed.wait()

    async def hold(self, longest_s: float | None) -> None:
        """Waits until `release`, and does not count as in flight meanwhile.

        Args:
            longest_s: longest time to wait; None for no limit.
        """
        self.held += 1
        self._changed.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), longest_s)
        finally:
            self.held -= 1

    def release(self) -> None:
        """Ends the wait of all calls that are held."""
        self._released.set()

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
