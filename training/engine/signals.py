"""Graceful shutdown on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """Records the first Ctrl-C or SIGTERM, so that training stops after the current step.

    A second signal ends the process at once.

    Attributes:
        received: the signal, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

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
        self.received = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)
