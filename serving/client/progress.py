"""How far `dcgan-generate` is with many images: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

import click

from dcgan.core.images import Pixels

_LINE_SECONDS = 10.0


def watched(chunks: Iterator[Pixels], n: int, out: TextIO) -> Iterator[Pixels]:
    """Passes the chunks of n images on, and shows how many have come, how fast, and how long the rest will take."""
    began = time.monotonic()

    def rate(done: int) -> float:
        return done / max(time.monotonic() - began, 1e-9)

    if out.isatty():
        done = 0
        with click.progressbar(
            length=n, label="images", show_pos=True, file=out, item_show_func=_show_rate
        ) as bar:
            for chunk in chunks:
                done += len(chunk)
                bar.update(len(chunk), rate(done))
                yield chunk
        return
    done, shown = 0, began
    for chunk in chunks:
        done += len(chunk)
        if (now := time.monotonic()) - shown >= _LINE_SECONDS:
            shown = now
            print(
                f"{done:,} of {n:,} images, {rate(done):,.0f} images/s, {_left(n - done, rate(done))} left",
                file=out,
            )
        yield chunk


def _show_rate(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:,.0f} images/s"


def _left(images: int, rate: float) -> str:
    return f"{images / rate:,.0f} s"
