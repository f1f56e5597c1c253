"""A batch: slices of work items that one run of an engine makes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from dcgan.serving.scheduling.work_item import WorkItem

T = TypeVar("T", bound=WorkItem)


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Images `start` to `start + count - 1` of a work item."""

    item: T
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """The input of one engine run.

    Attributes:
        slices: the images, in order.
        images: number of images.
        started: time when it was given to an engine.
    """

    slices: tuple[Slice[T], ...]
    images: int
    started: float
