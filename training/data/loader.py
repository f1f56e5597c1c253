"""Batches: which images a step sees, and everything that happens to them on the device before the networks do."""

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
from dcgan.training.distributed import ALONE, Team
from dcgan.training.rng import Purpose


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step computes with.

    Attributes:
        real: images, float32 [B, C, H, W] in [-1, 1].
        z: latent vectors, float32 [B, latent_size].
        augment: uniform numbers, float32 [3, B, DRAWS], for real images, generated images in D's phase and in G's.
        label: class of each real image, and of the one to generate beside it, int64 [B]; None without classes.
        share: part of the whole batch that this process has; below 1 where several train together.
    """

    real: Tensor
    z: Tensor
    augment: Tensor
    label: Tensor | None = None
    share: float = 1.0


class Feed:
    """The batch of any step: a pure function of the data, the recipe, the seed, the step and the detour.

    The data lie as bytes on the device, or stay in the host's memory map if they would fill more than half of a GPU;
    scaling, enlarging and mirroring happen on the device.

    Attributes:
        steps_per_epoch: batches in one pass over the data.
        detour: see `dcgan.training.rng`; 0 until the run goes back after a collapse.
    """

    def __init__(
        self, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device, team: Team = ALONE
    ) -> None:
        self._device = device
        self._images = _settle(_as_tensor(dataset.images), device)  # uint8 [N, h, w, C]
        labels = dataset.labels if recipe.generator.classes else None
        self._labels = (
            None if labels is None else _as_tensor(labels).to(self._images.device)
        )  # int64 [N]
        self._recipe = recipe
        self._seed = seed
        self._team = team
        self._drawn = (-1, 0)  # epoch and detour of the order below
        self._order = torch.empty(0, dtype=torch.int64)
        self.steps_per_epoch = recipe.steps_per_epoch(len(self._images))
        self.detour = 0

    def batch(self, step: int) -> Batch:
        """Makes the batch of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._recipe.batch_size
        chosen = self._order_of(epoch)[place * size : (place + 1) * size]
        total, mine = len(chosen), self._team.share(len(chosen))
        chosen = chosen[mine]
        real = self._prepare(self._images[chosen])
        label = None if self._labels is None else self._labels[chosen].to(self._device)
        if self._recipe.flip:
            mirrored = self._uniforms(Purpose.FLIP, step, (size,))[mine, None, None, None] < 0.5
            real = torch.where(mirrored, real.flip(3), real)
        shape = (size, self._recipe.generator.latent_size)
        z = self._move(rng.normals(self._seed, Purpose.LATENTS, step, shape, self.detour)[mine])
        augment = self._uniforms(Purpose.AUGMENT, step, (3, size, DRAWS))[:, mine]
        return Batch(real=real, z=z, augment=augment, label=label, share=len(chosen) / total)

    def _order_of(self, epoch: int) -> Tensor:
        if self._drawn != (epoch, self.detour):
            order = rng.order(self._seed, epoch, len(self._images), self.detour)
            self._drawn, self._order = (
                (epoch, self.detour),
                torch.from_numpy(order).to(self._images.device),
            )
        return self._order

    def images_seen(self, step: int) -> int:
        """Real images that the steps before `step` have shown, repeats counted."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._recipe.batch_size
        per_epoch = self.steps_per_epoch * size if self._recipe.whole_batches else len(self._images)
        return epoch * per_epoch + place * size

    def some_images(self, n: int) -> Tensor:
        """Images from all over the data, evenly spaced: float32 [n, C, H, W] in [-1, 1], fewer if there are fewer."""
        count = len(self._images)
        n = min(n, count)
        return self._prepare(self._images[torch.arange(n) * count // n])

    def _prepare(self, pixels: Tensor) -> Tensor:
        """uint8 [B, h, w, C] -> float32 [B, C, H, W] in [-1, 1], in channels-last order."""
        images = pixels.to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        size = self._recipe.generator.image_size
        if images.shape[2] != size:
            images = interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
        return images

    def _uniforms(self, purpose: Purpose, step: int, shape: tuple[int, ...]) -> Tensor:
        return self._move(rng.uniforms(self._seed, purpose, step, shape, self.detour))

    def _move(self, tensor: Tensor) -> Tensor:
        cuda = self._device.type == "cuda"
        return tensor.pin_memory().to(self._device, non_blocking=True) if cuda else tensor


def _as_tensor(array: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*not writable"
        )  # a memory map that is only read; nobody writes here
        return torch.from_numpy(array)


def _settle(images: Tensor, device: torch.device) -> Tensor:
    """Moves all images to the device, unless they would take more than half of its free memory."""
    if device.type == "cuda" and images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    return images.to(device)
