"""Accounting of the calls in flight and of what their clients hold."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.errors import TooManyCallsError, TooManyStreamsError, UnreadRepliesError
from dcgan.serving.errors import RequestError
from dcgan.serving.peer import Peer, find_peer
from dcgan.serving.shares import Shares

_READ_BYTES_PER_S = 64 * 2**10  # a slower client is cut off, if its reply is large


class Call:
    """A call, and what it holds until its client has read the last byte.

    Args:
        in_flight: that counts it.
        peer: its client.
        began: time of its headers, on the clock of `in_flight`.
        task: that answers it; None if its time is limited elsewhere.

    Attributes:
        error: why its task was cancelled; None if the client has left.
        has_arrived: whether its request has arrived.
        is_committed: whether gRPC has something to send that nothing can take back, so that only
            closing the connection ends the call.
        unread_since: time since which the client has not read what was sent; None if it has.
    """

    __slots__ = (
        "_in_flight",
        "_is_admitted",
        "_is_stream",
        "_task",
        "_unread_memory",
        "_unread_size",
        "began",
        "error",
        "has_arrived",
        "is_committed",
        "peer",
        "unread_since",
    )

    def __init__(
        self,
        in_flight: InFlight,
        peer: Peer,
        began: float,
        task: asyncio.Task[Any] | None,
    ) -> None:
        self.peer = peer
        self.began = began
        self.error: RequestError | None = None
        self.has_arrived = False
        self.is_committed = False
        self.unread_since: float | None = None
        self._in_flight = in_flight
        self._is_admitted = False
        self._is_stream = False
        self._task = task
        self._unread_memory = 0
        self._unread_size = 0

    def arrive(self) -> None:
        """Records that the request has arrived."""
        self.has_arrived = True

    def admit(self) -> None:
        """Counts the call as in flight: a drain waits for it."""
        self._is_admitted = True
        self._in_flight.count_admitted()

    def check_calls(self) -> None:
        """Checks that the client has not too many calls.

        Raises:
            TooManyCallsError: if it has, with this one.
        """
        limit = self._in_flight.limits.max_calls
        if limit and self._in_flight.calls.exceeds(limit, self.peer, 1, is_held=True):
            raise TooManyCallsError(limit)

    def begin_stream(self) -> None:
        """Counts the call as a stream.

        Raises:
            TooManyStreamsError: if too many are open, on all connections or on this one.
        """
        limit = self._in_flight.limits.max_streams
        if self._in_flight.streams.exceeds(limit, self.peer, 1):
            raise TooManyStreamsError(limit)
        self._is_stream = True
        self._in_flight.streams.add(self.peer, 1)

    def check_unread(self, amount: int) -> None:
        """Checks that the client may leave another reply unread.

        Args:
            amount: bytes of memory of the reply.

        Raises:
            UnreadRepliesError: if it may not.
        """
        limit = self._in_flight.limits.max_unread_bytes
        if self._in_flight.unread_bytes.exceeds(limit, self.peer, amount):
            raise UnreadRepliesError(limit)

    def hold(self, size: int, copies: int) -> None:
        """Counts a reply as unread until `release` or the end of the call.

        Args:
            size: of the reply in bytes.
            copies: number of times that it is in memory.

        Raises:
            UnreadRepliesError: if the client may not leave another one unread.
        """
        self.check_unread(copies * size)
        self.count_unread(size, copies)

    def count_unread(self, size: int, copies: int = 1) -> None:
        """Counts a reply as unread as `hold` does, but without a limit.

        Args:
            size: of the reply in bytes.
            copies: number of times that it is in memory.
        """
        self._unread_size = size
        self._unread_memory = copies * size
        self.unread_since = self._in_flight.clock()
        self._in_flight.unread_bytes.add(self.peer, self._unread_memory)

    def release(self) -> None:
        """Counts what was held as read."""
        self._in_flight.unread_bytes.add(self.peer, -self._unread_memory)
        self._unread_size = 0
        self._unread_memory = 0
        self.unread_since = None

    def answer(self) -> None:
        """Records that the reply is sent and only has to be read by the client."""
        self.is_committed = True
        self.unread_since = self._in_flight.clock()

    def end(self) -> None:
        """Counts the call as over."""
        self.release()
        if self._is_stream:
            self._in_flight.streams.add(self.peer, -1)
        self._in_flight.count_ended(self, is_admitted=self._is_admitted)

    def expire(self, error: RequestError) -> None:
        """Cancels the task of the call, which answers with an error."""
        if self._task is not None and self.error is None and not self.is_committed:
            self.error = error
            self._task.cancel()

    def has_not_read(self, now: float) -> bool:
        """Returns whether the client takes too long to read."""
        if self.unread_since is None:
            return False
        allowed_s = self._in_flight.limits.read_timeout_s + self._unread_size / _READ_BYTES_PER_S
        return now - self.unread_since > allowed_s


class InFlight:
    """Counts calls until their client has read the last byte.

    Args:
        limits: of what clients hold.
        clock: monotonic, in seconds.

    Attributes:
        limits: of what clients hold.
        clock: monotonic, in seconds.
        calls: calls that are not over.
        streams: streams that are not over.
        unread_bytes: memory of replies that are not read yet.
        timed: calls whose time is limited, the oldest first.
        postponed: number of calls in `postpone`.
    """

    def __init__(
        self, limits: CallLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits or CallLimits()
        self.clock = clock
        self.calls = Shares()
        self.streams = Shares()
        self.unread_bytes = Shares()
        self.timed: dict[Call, None] = {}
        self.postponed = 0
        self._admitted = 0
        self._begun = 0  # number of calls since the start
        self._changed = asyncio.Event()
        self._is_drained = asyncio.Event()

    def begin_call(self, peer: str, task: asyncio.Task[Any] | None = None) -> Call:
        """Counts a call of a client. Its `end` must be called.

        Args:
            peer: address and port of the client.
            task: that answers it, and is cancelled when its time is over; None if its time is
                limited elsewhere.
        """
        call = Call(self, find_peer(peer), self.clock(), task)
        self.calls.add(call.peer, 1)
        if task is not None:
            self.timed[call] = None
        return call

    def count_admitted(self) -> None:
        """Counts a call as in flight. See `Call.admit`."""
        self._admitted += 1
        self._begun += 1

    def count_ended(self, call: Call, *, is_admitted: bool) -> None:
        """Counts a call as over. See `Call.end`."""
        self.calls.add(call.peer, -1)
        self.timed.pop(call, None)
        if is_admitted:
            self._admitted -= 1
            self._changed.set()

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight, except for those that are postponed."""
        while self._admitted > self.postponed:
            self._changed.clear()
            await self._changed.wait()

    async def postpone(self, longest_s: float | None) -> None:
        """Makes a call wait until `end_postponed`; it does not count as in flight meanwhile.

        Args:
            longest_s: longest time to wait; None for no limit.
        """
        self.postponed += 1
        self._changed.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_drained.wait(), longest_s)
        finally:
            self.postponed -= 1

    def end_postponed(self) -> None:
        """Ends the wait of all calls that are postponed."""
        self._is_drained.set()

    async def wait_until_quiet(self, quiet_s: float) -> None:
        """Waits until no call has begun for some time, and none is in flight."""
        begun = -1
        while self._admitted or begun != self._begun:
            begun = self._begun
            await asyncio.sleep(quiet_s)
