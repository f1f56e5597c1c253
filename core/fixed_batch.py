"""Inference in batches of one fixed size, as CUDA needs it.

On CUDA, cuDNN picks its kernels by the shape of the batch, so that two batch sizes are two
functions whose last bits differ. One size for every batch, padded where fewer images are requested,
makes the pixels of an image independent of the batch it shares, of its position in it, and of load.
The exporter and the server both run a CUDA model through this class, so that published digests and
served images come from the same shape (docs/adr/0004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import load_onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort

DEFAULT_CUDA_BATCH_SIZE = 256
"""Batch size on CUDA. On an H100, 256 served 1.6 times as many images as 64 (docs/adr/0004)."""


@dataclass(frozen=True, kw_only=True)
class BatchShape:
    """Shapes of the inputs and the output of a served graph at a fixed batch size.

    Attributes:
        batch_size: images in every batch.
        latent_size: length of a latent vector.
        image: height, width and channels of an image.
        has_labels: whether the graph takes the class of each image.
    """

    batch_size: int
    latent_size: int
    image: tuple[int, int, int]
    has_labels: bool


class FixedBatchSession:
    """A session with buffers for one batch size. Not safe for several threads at once.

    The buffers lie on the device and never move, so that a CUDA graph can be captured around them.

    Args:
        session: of ONNX Runtime.
        shape: of every batch.
        device: where the buffers lie, in ONNX Runtime's spelling: "cuda" or "cpu".
        device_id: number of the GPU.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        shape: BatchShape,
        *,
        device: str = "cuda",
        device_id: int = 0,
    ) -> None:
        self.shape = shape
        self._session = session
        self._z = np.zeros((shape.batch_size, shape.latent_size), dtype=np.float32)
        self._label = np.zeros(shape.batch_size, dtype=np.int64) if shape.has_labels else None

        # Allocate the buffers on the device.
        ort_value = load_onnxruntime().OrtValue
        self._inputs = {"z": ort_value.ortvalue_from_numpy(self._z.copy(), device, device_id)}
        if self._label is not None:
            self._inputs["label"] = ort_value.ortvalue_from_numpy(
                self._label.copy(), device, device_id
            )
        self._images = ort_value.ortvalue_from_shape_and_type(
            (shape.batch_size, *shape.image), np.uint8, device, device_id
        )

        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output("images", self._images)

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None = None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """Makes b images, b at most the batch size; the rest of the batch is padding.

        Args:
            z: latent vectors, float32 [b, latent_size].
            label: classes, int64 [b], if the graph takes labels.
            options: of this run.

        Returns:
            The images, uint8 [b, H, W, C], in an array of their own.
        """
        self._upload("z", self._z, z)
        if label is not None and self._label is not None:
            self._upload("label", self._label, label)

        self._session.run_with_iobinding(self._binding, options)

        # Copy: on the CPU, `numpy` returns a view of the buffer that the next batch overwrites.
        images: Pixels = self._images.numpy()[: len(z)].copy()
        return images

    def warm_up(self, runs: int) -> None:
        """Runs batches of zeros, so that kernels are chosen and a CUDA graph is captured."""
        label = None if self._label is None else np.zeros_like(self._label)
        for _ in range(runs):
            self.run(np.zeros_like(self._z), label)

    def _upload(self, name: str, padded: NDArray[np.generic], values: NDArray[np.generic]) -> None:
        padded[: len(values)] = values
        padded[len(values) :] = 0  # so that no batch depends on the one before
        self._inputs[name].update_inplace(padded)
