"""Inference in batches of one fixed size, as CUDA needs it.

On CUDA, cuDNN picks its kernels by the shape of the batch, so that two batch sizes are two
functions whose last bits differ. One size for every batch, padded where fewer images are requested,
makes the pixels of an image independent of the batch it shares, of its position in it, and of load.
The parity gate pads its batches to the same size, so that published digests and served images come
from the same shape (docs/adr/0004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.cuda_driver import PinnedTransfer
from dcgan.core.errors import DcganError
from dcgan.core.images import Pixels
from dcgan.core.onnx_session import load_onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort


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


class TransferError(DcganError):
    """Data changed while it was copied through page-locked memory."""


class FixedBatchSession:
    """A session with buffers for one batch size. Not thread-safe.

    The buffers are on the device and never move, so that a CUDA graph can be captured around them.

    Args:
        session: of ONNX Runtime.
        shape: of every batch.
        device: of the buffers, in ONNX Runtime's spelling: "cuda" or "cpu".
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
        size = shape.batch_size

        # Allocate the buffers on the host.
        self._padded: dict[str, NDArray[np.generic]] = {
            "z": np.zeros((size, shape.latent_size), dtype=np.float32)
        }
        if shape.has_labels:
            self._padded["label"] = np.zeros(size, dtype=np.int64)
        self._transfer: PinnedTransfer | None = None
        self._host_images: Pixels | None = None

        # Allocate the buffers on the device.
        ort_value = load_onnxruntime().OrtValue
        self._inputs = {
            name: ort_value.ortvalue_from_numpy(padded.copy(), device, device_id)
            for name, padded in self._padded.items()
        }
        self._images = ort_value.ortvalue_from_shape_and_type(
            (size, *shape.image), np.uint8, device, device_id
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
        self._upload("z", z)
        if label is not None and self.shape.has_labels:
            self._upload("label", label)

        self._session.run_with_iobinding(self._binding, options)

        return self._download(len(z))

    def warm_up(self, runs: int) -> None:
        """Runs batches of zeros, so that kernels are chosen and a CUDA graph is captured."""
        z = np.zeros((self.shape.batch_size, self.shape.latent_size), dtype=np.float32)
        label = np.zeros(self.shape.batch_size, dtype=np.int64) if self.shape.has_labels else None
        for _ in range(runs):
            self.run(z, label)

    def use_transfer(self, transfer: PinnedTransfer) -> None:
        """Copies through page-locked memory from now on, instead of letting ONNX Runtime copy.

        One batch is copied both ways first.

        Raises:
            TransferError: if the copies differ. ONNX Runtime then goes on copying.
            CudaDriverError: if the driver refuses.
        """
        size = self.shape.batch_size
        plain = self._padded
        self._padded = {
            name: transfer.allocate(array.shape, array.dtype.type) for name, array in plain.items()
        }
        self._host_images = transfer.allocate((size, *self.shape.image), np.uint8)
        self._transfer = transfer

        try:
            self._check_transfer()
        except Exception:
            self._transfer = None
            self._padded = plain
            raise

    def _check_transfer(self) -> None:
        shape = (self.shape.batch_size, self.shape.latent_size)
        z = np.linspace(-1.0, 1.0, num=shape[0] * shape[1], dtype=np.float32).reshape(shape)
        label = np.zeros(len(z), dtype=np.int64) if self.shape.has_labels else None

        images = self.run(z, label)

        if not np.array_equal(self._inputs["z"].numpy(), z):
            raise TransferError("latent vectors changed on their way to the device")
        if not np.array_equal(self._images.numpy(), images):
            raise TransferError("images changed on their way from the device")

    def _upload(self, name: str, values: NDArray[np.generic]) -> None:
        padded = self._padded[name]
        padded[: len(values)] = values
        padded[len(values) :] = 0  # so that no batch depends on the one before

        if self._transfer is not None:
            self._transfer.upload(padded, self._inputs[name].data_ptr())
        else:
            self._inputs[name].update_inplace(padded)

    def _download(self, n: int) -> Pixels:
        """Returns the first n images."""
        if self._transfer is not None and self._host_images is not None:
            images = self._host_images[:n]  # what is padding stays on the device
            self._transfer.download(self._images.data_ptr(), images)
        else:
            images = self._images.numpy()[:n]

        # Copy: the next batch overwrites the page-locked array, and on the CPU `numpy` returns a
        # view of the buffer.
        return images.copy()
