"""The progress of a download on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows the progress of a download on a terminal, as a count if the size is not known."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return

    if total is None:
        yield lambda size: click.echo(f"\rfetching  {size / 2**20:.1f} MiB", nl=False, err=True)
        click.echo(err=True)
        return

    with click.progressbar(length=total, label="fetching", file=sys.stderr, show_pos=True) as bar:

        def advance(size: int) -> None:
            bar.update(size - bar.pos)

        yield advance
