"""A piece of work for the engines: what goes in, what comes out, and who waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.serving.scheduling.batcher import Ticket


@dataclass(frozen=True, slots=True)
class Latents:
    """What an engine needs for n images: z float32 [n, d], and label int64 [n] for a conditional model."""

    z: NDArray[np.float32]
    label: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """Finished images.

    Attributes:
        parts: uint8 [k, H, W, C], in order; views of what the engine gave, so that nothing is copied.
        queue_s: time until an engine started on them.
        compute_s: time from then until the last was done.
    """

    parts: tuple[Pixels, ...]
    queue_s: float
    compute_s: float


@dataclass(eq=False, slots=True, kw_only=True)
class Job(Ticket):
    """A ticket with what goes into its images, what has come out, and who waits for it."""

    future: asyncio.Future[Images]
    latents: Latents | None = None
    parts: dict[int, Pixels] = field(default_factory=dict)  # by index of the first image

    def images(self, now: float) -> Images:
        """What has come out, in order."""
        parts = tuple(self.parts[start] for start in sorted(self.parts))
        return Images(parts, self.started - self.arrived, now - self.started)
