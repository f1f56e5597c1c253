"""Graceful shutdown on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dcgan.core.signals import SignalCounter


class StopSignal:
    """Records the first Ctrl-C or SIGTERM, so that training stops after the current step.

    A second signal ends the process at once, unless it is an echo of the first.

    Attributes:
        received: the signal, or None.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received: signal.Signals | None = None
        self._signals = SignalCounter(clock)

    @property
    def requested(self) -> bool:
        """Whether training has to stop."""
        return self.received is not None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handles both signals while the block runs."""
        signals = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, self._receive) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, previous, strict=True):
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._signals.is_repeated():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = signal.Signals(number)
