"""Inputs and outputs of a model: one batch of latent vectors, and the images of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.zoo.golden import golden_labels, golden_latents
from dcgan.zoo.manifest import Manifest


class ModelInputs(NamedTuple):
    """One batch of inputs.

    Attributes:
        z: float32 [batch, latent_size].
        label: int64 [batch]; None for a model without classes.
    """

    z: NDArray[np.float32]
    label: NDArray[np.int64] | None = None

    @property
    def feeds(self) -> dict[str, NDArray[np.generic]]:
        """The inputs by name, for ONNX Runtime."""
        return {"z": self.z} if self.label is None else {"z": self.z, "label": self.label}

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs in order, for PyTorch."""
        return tuple(torch.from_numpy(array) for array in self.feeds.values())

    def rows(self, start: int, stop: int) -> ModelInputs:
        """Returns the inputs of images `start` to `stop - 1`."""
        label = None if self.label is None else self.label[start:stop]
        return ModelInputs(self.z[start:stop], label)

    def padded_to(self, batch_size: int) -> ModelInputs:
        """Returns the inputs followed by zeros, up to a batch size."""
        missing = batch_size - len(self.z)
        label = None if self.label is None else np.pad(self.label, (0, missing))
        return ModelInputs(np.pad(self.z, ((0, missing), (0, 0))), label)


class ModelOutputs(NamedTuple):
    """What a model returns for one batch.

    Attributes:
        images: uint8 [batch, H, W, C].
        floats: [batch, C, H, W] in [-1, 1], before rounding; float32, or float64 from a reference.
    """

    images: Pixels
    floats: NDArray[np.floating]


def seed_inputs(
    seed: int,
    offset: int,
    n: int,
    *,
    latent_size: int,
    classes: int,
    first_label: int | None = None,
) -> ModelInputs:
    """Returns the inputs of n images of a seed.

    Args:
        seed: of the noise.
        offset: index of the first image.
        n: number of images.
        latent_size: length of a latent vector.
        classes: number of classes, 0 without labels.
        first_label: index whose class the first image gets; by default its own, as the service
            labels images.
    """
    z = noise.latents(seed, offset, n, latent_size)
    if not classes:
        return ModelInputs(z)
    first = offset if first_label is None else first_label
    return ModelInputs(z, noise.labels(first, n, classes))


def golden_inputs(manifest: Manifest) -> ModelInputs:
    """Returns the inputs of a model's golden images."""
    labels = golden_labels(manifest.golden) if manifest.classes else None
    return ModelInputs(golden_latents(manifest.golden, manifest.latent_size), labels)
