"""The generator with conversion to uint8 pixels, and example inputs to trace it with."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from dcgan.training.models.pixels import to_pixels


class PixelGenerator(nn.Module):
    """A generator with post-processing to uint8 pixels.

    TorchScript and exported programs are traced from it, and parity is measured against it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def float_images(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> images [B, channels, H, W] in [-1, 1].

        A network with classes also takes the class of each image, int64 [B].
        """
        return cast(Tensor, self.network(z, label))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Standard normals [B, latent_size] -> pixels, uint8 [B, H, W, channels]."""
        return to_pixels(self.float_images(z, label))


def example_inputs(latent_size: int, classes: int) -> tuple[Tensor, ...]:
    """Returns inputs to trace with: z, and label for a network with classes.

    The batch is 2, because tracers specialize a batch axis of size 1.
    """
    z = torch.zeros(2, latent_size)
    label = torch.zeros(2, dtype=torch.int64)
    return (z, label) if classes else (z,)
