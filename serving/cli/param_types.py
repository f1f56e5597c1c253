"""Types of command-line values that click does not have."""

from __future__ import annotations

import math

import click

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(0, 86400)
UINT32 = click.IntRange(0, 2**32 - 1)
UINT64 = click.IntRange(0, 2**64 - 1)

_MAX_REQUEST_IMAGES = 512  # of dcgan-bench


class GpuNumbers(click.ParamType[tuple[int, ...]]):
    """Numbers of GPUs, e.g. "0" or "0,1"."""

    name = "numbers"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Returns the numbers."""
        if isinstance(value, tuple):
            return value

        words = value.split(",")
        numbers = tuple(int(word) for word in words if word.isascii() and word.isdecimal())
        if len(numbers) < len(words) or len(set(numbers)) < len(numbers):
            self.fail(f"{value!r:.80} is not a list of GPU numbers such as 0 or 0,1", param, ctx)
        return numbers


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
            self.fail(f"{value!r:.80} is not a list of sizes such as 1 or 1:0.9,64:0.1", param, ctx)
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
            self.fail(f"{value!r:.80} is not KEY=VALUE", param, ctx)
        return key, text
