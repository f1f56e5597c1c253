"""Progress of an evaluation: a bar on a terminal, a line for each stage in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click
from tqdm import tqdm


def show_progress(numbers: Iterable[int], title: str, unit: str = "batch") -> Iterable[int]:
    """Passes numbers on and shows how far they have come.

    Args:
        numbers: of the parts of a stage.
        title: what the stage does.
        unit: what a part is.
    """
    if sys.stderr.isatty():
        return tqdm(numbers, desc=title, unit=unit, leave=False)
    click.echo(f"{title} ...", err=True)
    return numbers


def show_decoding(numbers: Iterable[int]) -> Iterator[int]:
    """Passes the numbers of images on and shows how far their decoding has come."""
    return iter(show_progress(numbers, "decoding images", unit="image"))
