"""Seconds that each step of an export takes, for `dcgan-export --verbose`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class _Shown:
    """Whether the steps are printed, in this process."""

    is_on = False


def show_timing() -> None:
    """Lets every step print how long it took, on stderr."""
    _Shown.is_on = True


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Prints how many seconds a step took, if `show_timing` was called.

    Args:
        step: what is done, e.g. "write the files".
    """
    began = time.perf_counter()
    cpu_began = time.process_time()
    try:
        yield
    finally:
        if _Shown.is_on:
            seconds = time.perf_counter() - began
            cpu_seconds = time.process_time() - cpu_began
            click.echo(f"time: {seconds:6.2f} s, {cpu_seconds:6.2f} s of CPU: {step}", err=True)
