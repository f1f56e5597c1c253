"""The event loop that commands run on: uvloop, where it is installed, or asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dcgan.core.errors import DcganError

EVENT_LOOPS = ("auto", "asyncio", "uvloop")
"""Names of event loops; auto is uvloop where it is installed."""

T = TypeVar("T")


class EventLoopError(DcganError):
    """The requested event loop is not installed."""


def run(main: Coroutine[Any, Any, T], event_loop: str = "auto") -> T:
    """Runs a coroutine as `asyncio.run` does.

    Args:
        main: the coroutine.
        event_loop: one of EVENT_LOOPS.

    Raises:
        EventLoopError: if uvloop was requested and is not installed.
    """
    try:
        factory = _loop_factory(event_loop)
    except EventLoopError:
        main.close()
        raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _loop_factory(event_loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns what creates an event loop; None for asyncio's default."""
    if event_loop == "asyncio":
        return None

    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        if event_loop == "auto":
            return None
        raise EventLoopError(
            "uvloop is not installed; install the extra dcgan-zoo[uvloop], or choose "
            "--event-loop asyncio"
        ) from None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
