"""What every released file computes: latent vectors in, float images or finished pixels out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from dcgan.training.models.pixels import to_pixels


class Served(nn.Module):
    """A generator with its post-processing. TorchScript is traced from it, and parity is measured against it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def float_images(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> images [B, channels, image_size, image_size] in [-1, 1].

        A network with classes also takes the class of each image, int64 [B].
        """
        return cast(Tensor, self.network(z, label))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> pixels, uint8 [B, image_size, image_size, channels]."""
        return to_pixels(self.float_images(z, label))


def examples(latent_size: int, classes: int) -> tuple[Tensor, ...]:
    """Inputs to trace with: two images, so that nothing takes the batch axis for a constant 1."""
    z = torch.zeros(2, latent_size)
    return (z, torch.zeros(2, dtype=torch.int64)) if classes else (z,)
