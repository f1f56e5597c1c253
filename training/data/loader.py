"""The data loader: the batch of a step, prepared on the device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from dcgan.training import rng
from dcgan.training.config import Recipe
from dcgan.training.data.augment import DRAWS
from dcgan.training.data.dataset import Dataset
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.rng import Purpose


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """Input of one training step.

    Attributes:
        real: images, float32 [B, C, H, W] in [-1, 1].
        z: latent vectors, float32 [B, latent_size].
        augment: uniform random numbers, float32 [3, B, DRAWS], for real images, for generated
            images in D's phase, and for those in G's phase; with consistency regularization
            [5, B, DRAWS], the last ones for its changes of real and of generated images.
        label: class of each real image and of the generated image at its place, int64 [B]; None
            without classes.
        share: share of the whole batch that this process has; below 1 in a distributed run.
        penalized: whether D's gradients are penalized in this step, where the recipe says so.
    """

    real: Tensor
    z: Tensor
    augment: Tensor
    label: Tensor | None = None
    share: float = 1.0
    penalized: bool = True

    def tensors(self) -> list[Tensor]:
        """Returns the tensors of the batch."""
        tensors = (self.real, self.z, self.augment, self.label)
        return [tensor for tensor in tensors if tensor is not None]


class BatchLoader:
    """Makes the batch of any step, as a pure function of its arguments and of the step.

    The images lie on the device as bytes; a data set larger than half of a GPU's memory stays in
    the memory map on the host. Scaling, resizing and mirroring happen on the device.

    Args:
        dataset: decoded images.
        recipe: batch size, mirroring, and the image size.
        seed: of the run.
        device: of the batches.
        context: the processes that share each batch.

    Attributes:
        steps_per_epoch: batches in one pass over the data.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        context: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self._device = device
        self._recipe = recipe
        self._seed = seed
        self._context = context
        self._images = _place(_as_tensor(dataset.images), device)  # uint8 [N, h, w, C]
        self._labels: Tensor | None = None  # int64 [N]
        if recipe.generator.classes and dataset.labels is not None:
            self._labels = _as_tensor(dataset.labels).to(self._images.device)
        self.steps_per_epoch = recipe.steps_per_epoch(len(self._images))

        # The order of the last epoch that was asked for, and its epoch and number of rollbacks.
        self._order = torch.empty(0, dtype=torch.int64)
        self._order_of = (-1, 0)

    def batch(self, step: int, rollbacks: int = 0) -> TrainingBatch:
        """Makes the batch of a step.

        Args:
            step: counted from 0.
            rollbacks: how often the run was rolled back; see `dcgan.training.rng`.
        """
        size = self._recipe.batch_size
        epoch, position = divmod(step, self.steps_per_epoch)

        # Choose the images of this process.
        order = self._epoch_order(epoch, rollbacks)
        whole = order[position * size : (position + 1) * size]
        shard = self._context.shard(len(whole))
        chosen = whole[shard]
        real = self._prepare(self._images[chosen])
        label = None if self._labels is None else self._labels[chosen].to(self._device)

        # Mirror half of them.
        if self._recipe.flip:
            draws = self._uniforms(Purpose.FLIP, step, (size,), rollbacks)
            mirrored = draws[shard, None, None, None] < 0.5
            real = torch.where(mirrored, real.flip(3), real)

        # Draw the latent vectors and the numbers for augmentation.
        shape = (size, self._recipe.generator.latent_size)
        z = rng.normals(self._seed, Purpose.LATENTS, step, shape, rollbacks)
        # Further numbers come after those that a recipe without consistency regularization draws.
        kinds = 5 if self._recipe.consistency else 3
        augment = self._uniforms(Purpose.AUGMENT, step, (kinds, size, DRAWS), rollbacks)

        return TrainingBatch(
            real=real,
            z=self._to_device(z[shard]),
            augment=augment[:, shard],
            label=label,
            share=len(chosen) / len(whole),
            penalized=step % self._recipe.penalty_every == 0,
        )

    def images_seen(self, step: int) -> int:
        """Returns the number of real images in the first `step` batches, repeats counted."""
        return self._recipe.images_seen(step, len(self._images))

    def preview(self, n: int) -> Tensor:
        """Returns n evenly spaced images of the data set, or all if there are fewer.

        Returns:
            float32 [n, C, H, W] in [-1, 1].
        """
        count = len(self._images)
        n = min(n, count)
        return self._prepare(self._images[torch.arange(n) * count // n])

    def _epoch_order(self, epoch: int, rollbacks: int) -> Tensor:
        if self._order_of != (epoch, rollbacks):
            order = rng.permutation(self._seed, epoch, len(self._images), rollbacks)
            self._order = torch.from_numpy(order).to(self._images.device)
            self._order_of = (epoch, rollbacks)
        return self._order

    def _prepare(self, pixels: Tensor) -> Tensor:
        """uint8 [B, h, w, C] -> float32 [B, C, H, W] in [-1, 1], in channels-last order."""
        images = pixels.to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        size = self._recipe.generator.image_size
        if images.shape[2] != size:
            images = interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
        return images

    def _uniforms(
        self, purpose: Purpose, step: int, shape: tuple[int, ...], rollbacks: int
    ) -> Tensor:
        return self._to_device(rng.uniforms(self._seed, purpose, step, shape, rollbacks))

    def _to_device(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor


def _as_tensor(array: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # A read-only memory map; the loader never writes to it.
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(array)


def _place(images: Tensor, device: torch.device) -> Tensor:
    """Moves all images to the device, unless they would take more than half of its free memory."""
    if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    return images.to(device)
