"""Text that comes from outside, made fit for a message."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, at most 200 characters of it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
