"""Progress of `dcgan-generate`: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

import click

from dcgan.core.images import Pixels

_LINE_INTERVAL_S = 10.0


def show_progress(chunks: Iterator[Pixels], n: int, out: TextIO) -> Iterator[Pixels]:
    """Yields the chunks of n images, and shows how many have come, the rate, and the time left.

    Args:
        chunks: chunks of images, each uint8 [k, H, W, C].
        n: number of images in all chunks.
        out: where to show it.
    """
    if out.isatty():
        return _show_bar(chunks, n, out)
    return _show_lines(chunks, n, out)


def _show_bar(chunks: Iterator[Pixels], n: int, out: TextIO) -> Iterator[Pixels]:
    started = time.monotonic()
    done = 0
    with click.progressbar(
        length=n, label="images", show_pos=True, file=out, item_show_func=_describe_rate
    ) as bar:
        for chunk in chunks:
            done += len(chunk)
            bar.update(len(chunk), _rate(done, started))
            yield chunk


def _show_lines(chunks: Iterator[Pixels], n: int, out: TextIO) -> Iterator[Pixels]:
    started = time.monotonic()
    shown = started
    done = 0

    for chunk in chunks:
        done += len(chunk)
        now = time.monotonic()
        if now - shown >= _LINE_INTERVAL_S:
            shown = now
            rate = _rate(done, started)
            left_s = (n - done) / rate
            print(
                f"{done:,} of {n:,} images, {_describe_rate(rate)}, {left_s:,.0f} s left", file=out
            )
        yield chunk


def _rate(done: int, started: float) -> float:
    """Returns images per second."""
    return done / max(time.monotonic() - started, 1e-9)


def _describe_rate(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:,.0f} images/s"
