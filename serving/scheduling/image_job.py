"""A work item with its data: the latent vectors that go in and the images that come out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.serving.scheduling.work_item import WorkItem


@dataclass(frozen=True, slots=True)
class Latents:
    """Input of the generator for n images.

    Attributes:
        z: latent vectors, float32 [n, latent_size].
        label: classes, int64 [n], for a conditional model.
    """

    z: NDArray[np.float32]
    label: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """Finished images.

    Attributes:
        parts: uint8 [k, H, W, C] each, in order; views of the engines' outputs, so that nothing is
            copied.
        queue_s: time from the arrival until an engine started on the first image.
        compute_s: time from then until the last image was made.
    """

    parts: tuple[Pixels, ...]
    queue_s: float
    compute_s: float


@dataclass(eq=False, slots=True, kw_only=True)
class ImageJob(WorkItem):
    """A work item with its input, its output so far, and the future of the images.

    Attributes:
        future: resolves to the images.
        latents: input; None until it is drawn.
        parts: finished images, by the position of the first one.
    """

    future: asyncio.Future[Images]
    latents: Latents | None = None
    parts: dict[int, Pixels] = field(default_factory=dict)

    def result(self, now: float) -> Images:
        """Returns the finished images in order."""
        parts = tuple(self.parts[start] for start in sorted(self.parts))
        return Images(parts, self.started - self.demand.arrived, now - self.started)


def fail_jobs(jobs: Iterable[ImageJob], error: Exception) -> None:
    """Fails the futures of jobs, except those that are done. Call it from the event loop."""
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
