"""Values of command-line options that click does not know: lists of batch sizes, and mixes of request sizes."""

from __future__ import annotations

import math
from itertools import pairwise

import click

_MOST_IMAGES = 512  # of a request of dcgan-bench


class Buckets(click.ParamType[tuple[int, ...]]):
    """Batch sizes with commas between them, rising."""

    name = "sizes"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Reads "1,8,64"."""
        if isinstance(value, tuple):
            return value
        sizes = value.split(",")
        buckets = tuple(int(size) for size in sizes if size.isdecimal())
        if len(buckets) < len(sizes) or buckets[0] < 1 or any(a >= b for a, b in pairwise(buckets)):
            self.fail(f"{value!r:.80} is no list of rising batch sizes such as 1,8,64", param, ctx)
        return buckets


class Sizes(click.ParamType[tuple[tuple[int, float], ...]]):
    """Sizes of requests with their weights."""

    name = "sizes"

    def convert(
        self,
        value: str | tuple[tuple[int, float], ...],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[tuple[int, float], ...]:
        """Reads "1" or "1:0.9,64:0.1"."""
        if isinstance(value, tuple):
            return value
        try:
            pairs = [
                (part.partition(":")[0], part.partition(":")[2] or "1") for part in value.split(",")
            ]
            sizes = tuple((int(n), float(weight)) for n, weight in pairs)
        except ValueError:
            sizes = ()
        if not sizes or any(
            not (0 < n <= _MOST_IMAGES and 0 < weight < math.inf) for n, weight in sizes
        ):
            self.fail(f"{value!r:.80} is no list of sizes such as 1 or 1:0.9,64:0.1", param, ctx)
        return sizes
