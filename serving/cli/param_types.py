"""Types of command-line values that click does not have."""

from __future__ import annotations

import math
from itertools import pairwise

import click

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(0, 86400)
UINT32 = click.IntRange(0, 2**32 - 1)
UINT64 = click.IntRange(0, 2**64 - 1)

_MAX_REQUEST_IMAGES = 512  # of dcgan-bench


class BatchSizes(click.ParamType[tuple[int, ...]]):
    """Ascending batch sizes, e.g. "1,8,64"."""

    name = "sizes"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Returns the sizes."""
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        sizes = tuple(int(word) for word in words if word.isdecimal())
        if len(sizes) < len(words) or sizes[0] < 1 or any(a >= b for a, b in pairwise(sizes)):
            self.fail(f"{value!r:.80} is no list of rising batch sizes such as 1,8,64", param, ctx)
        return sizes


class RequestSizes(click.ParamType[tuple[tuple[int, float], ...]]):
    """Numbers of images of a request, with weights, e.g. "1" or "1:0.9,64:0.1"."""

    name = "sizes"

    def convert(
        self,
        value: str | tuple[tuple[int, float], ...],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[tuple[int, float], ...]:
        """Returns pairs of a number of images and its weight."""
        if isinstance(value, tuple):
            return value
        try:
            pairs = [part.partition(":") for part in value.split(",")]
            sizes = tuple((int(n), float(weight or "1")) for n, _, weight in pairs)
        except ValueError:
            sizes = ()
        valid = all(0 < n <= _MAX_REQUEST_IMAGES and 0 < weight < math.inf for n, weight in sizes)
        if not sizes or not valid:
            self.fail(f"{value!r:.80} is no list of sizes such as 1 or 1:0.9,64:0.1", param, ctx)
        return sizes


class KeyValue(click.ParamType[tuple[str, str]]):
    """A key and its value, e.g. "tenant=blue"."""

    name = "key=value"

    def convert(
        self,
        value: str | tuple[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Returns the key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals:
            self.fail(f"{value!r:.80} is no KEY=VALUE", param, ctx)
        return key, text
