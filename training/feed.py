"""Batches: which images a step sees, and everything that happens to them on the device before the networks do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dcgan.training import draws
from dcgan.training.augment import DRAWS
from dcgan.training.config import Recipe
from dcgan.training.dataset import Dataset
from dcgan.training.draws import Purpose


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step computes with.

    Attributes:
        real: images, float32 [B, C, H, W] in [-1, 1].
        z: latent vectors, float32 [B, latent_size].
        augment: uniform numbers, float32 [3, B, DRAWS], for real images, generated images in D's phase and in G's.
        label: class of each real image, and of the one to generate beside it, int64 [B]; None without classes.
    """

    real: Tensor
    z: Tensor
    augment: Tensor
    label: Tensor | None = None


class Feed:
    """The batch of any step: a pure function of the data, the recipe, the seed and the step.

    The data lie as bytes on the device; shuffling, scaling, enlarging and mirroring happen there.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device) -> None:
        self._images = torch.from_numpy(dataset.images).to(device)  # uint8 [N, h, w, C]
        conditional = recipe.generator.classes > 0 and dataset.labels is not None
        self._labels = torch.from_numpy(dataset.labels).to(device) if conditional else None  # int64 [N]
        self._recipe = recipe
        self._seed = seed
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64, device=device)
        self.steps_per_epoch = recipe.steps_per_epoch(len(self._images))

    def batch(self, step: int) -> Batch:
        """Makes the batch of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = draws.order(self._seed, epoch, len(self._images))
            self._epoch, self._order = epoch, torch.from_numpy(order).to(self._images.device)
        size = self._recipe.batch_size
        chosen = self._order[place * size : (place + 1) * size]
        real = self._prepare(self._images[chosen])
        label = None if self._labels is None else self._labels[chosen]
        if self._recipe.flip:
            mirrored = self._uniforms(Purpose.FLIP, step, (size,))[: len(real), None, None, None] < 0.5
            real = torch.where(mirrored, real.flip(3), real)
        z = draws.normals(self._seed, Purpose.LATENTS, step, (size, self._recipe.generator.latent_size))
        augment = self._uniforms(Purpose.AUGMENT, step, (3, size, DRAWS))
        return Batch(real=real, z=self._move(z)[: len(real)], augment=augment[:, : len(real)], label=label)

    def images_seen(self, step: int) -> int:
        """Real images that the steps before `step` have shown, repeats counted."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._recipe.batch_size
        per_epoch = self.steps_per_epoch * size if self._recipe.whole_batches else len(self._images)
        return epoch * per_epoch + place * size

    def first_images(self, n: int) -> Tensor:
        """The first n images of the data, float32 [n, C, H, W] in [-1, 1], neither shuffled nor mirrored."""
        return self._prepare(self._images[:n])

    def _prepare(self, pixels: Tensor) -> Tensor:
        """uint8 [B, h, w, C] -> float32 [B, C, H, W] in [-1, 1], in channels-last order."""
        images = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        size = self._recipe.generator.image_size
        if images.shape[2] != size:
            images = interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
        return images

    def _uniforms(self, purpose: Purpose, step: int, shape: tuple[int, ...]) -> Tensor:
        return self._move(draws.uniforms(self._seed, purpose, step, shape))

    def _move(self, tensor: Tensor) -> Tensor:
        device = self._images.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
