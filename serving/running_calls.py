"""The calls of daemon threads that have not returned, which may hang for ever in native code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_running: set[object] = set()


@contextmanager
def running_call() -> Iterator[None]:
    """Counts the block among the running calls."""
    call = object()
    _running.add(call)
    try:
        yield
    finally:
        _running.discard(call)


def running_calls() -> frozenset[object]:
    """Returns the calls that run now."""
    return frozenset(_running)


def exit_process(code: int | str | None) -> None:
    """Ends the process without the interpreter's shutdown, in which a hanging call would abort it.

    Args:
        code: of a SystemExit.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue  # a full disk or a closed pipe
    os._exit(code if isinstance(code, int) else int(code is not None))
