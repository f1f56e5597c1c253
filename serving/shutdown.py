"""Requests to shut down, from signals or from a parent process."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dcgan.core.signals import SignalCounter

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Ends the process quietly at a SIGTERM, until an event loop takes the signal over."""

    def leave(number: int, frame: object) -> None:  # noqa: ARG001
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ShutdownRequest:
    """Whether a process has been asked to shut down, and how. Create it in a running event loop.

    Attributes:
        drain: set to finish the requests that were admitted, and then end.
        abort: set to end at once.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.drain = asyncio.Event()
        self.abort = asyncio.Event()
        self._signals = SignalCounter(clock)

    def listen_to_signals(self) -> None:
        """Drains at the first SIGTERM or SIGINT, and aborts at the second, unless it is an echo."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._signals.is_repeated():
            self.abort.set()
        self.drain.set()
