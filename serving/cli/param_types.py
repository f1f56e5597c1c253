"""Types of command-line values that click does not have."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import click

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(0, 86400)
POSITIVE_SECONDS = click.FloatRange(0, 86400, min_open=True)
UINT32 = click.IntRange(0, 2**32 - 1)
UINT64 = click.IntRange(0, 2**64 - 1)

_MAX_REQUEST_IMAGES = 512  # of dcgan-bench
_GPU_NUMBER = re.compile(r"[0-9]{1,9}")
_INDEX_RANGE = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


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
        numbers = tuple(int(word) for word in words if _GPU_NUMBER.fullmatch(word))
        if len(numbers) < len(words) or len(set(numbers)) < len(numbers):
            self.fail(f"{value!r:.80} is not a list of GPU numbers such as 0 or 0,1", param, ctx)
        return numbers


class IndexRanges(click.ParamType[tuple[tuple[int, int], ...]]):
    """Indices of images, e.g. "3,17" or "0-9,20": pairs of a first index and a number."""

    name = "indices"

    def convert(
        self,
        value: str | tuple[tuple[int, int], ...],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[tuple[int, int], ...]:
        """Returns pairs of the first index of a range and the number of its images."""
        if isinstance(value, tuple):
            return value

        matches = [_INDEX_RANGE.fullmatch(part.strip()) for part in value.split(",")]
        bounds = [(int(each[1]), int(each[2] or each[1])) for each in matches if each]
        valid = all(first <= last < 2**64 for first, last in bounds)
        if len(bounds) < len(matches) or not valid:
            self.fail(f"{value!r:.80} is not a list of indices such as 3,17 or 0-9,20", param, ctx)

        ordered = sorted(bounds)
        for (_, last), (first, _) in pairwise(ordered):
            if first <= last:
                self.fail(f"{value!r:.80} names image {first} twice; name it once", param, ctx)
        return tuple((first, last - first + 1) for first, last in bounds)


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
