"""The interface of an engine: latent vectors in, images out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels

if TYPE_CHECKING:
    import onnxruntime as ort


class EngineError(Exception):
    """An engine failed on a batch."""


class Engine(Protocol):
    """Runs one model on one execution provider.

    Attributes:
        provider: the execution provider of ONNX Runtime.
        max_batch: maximum number of images in a batch.
        batch_size: images in every batch, padding included, where the pixels depend on it; None
            where batches have any size.
    """

    provider: str
    max_batch: int

    @property
    def batch_size(self) -> int | None:
        """See the attributes of the class."""

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """Makes a batch of b images, b at most `max_batch`.

        Args:
            z: latent vectors, [b, latent_size].
            label: classes, [b], for a conditional model.
            options: of this run; when another thread sets `terminate`, the run fails at its next
                layer.

        Returns:
            The images, uint8 [b, H, W, C].

        Raises:
            EngineError: if ONNX Runtime fails.
        """

    def padding(self, images: int) -> int:
        """Returns how many padding images the engine adds to a batch of that many images."""
