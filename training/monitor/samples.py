"""Pictures of how far a run is: grids of the same latent vectors again and again, one of real images, and a film."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dcgan.core import noise
from dcgan.core.images import Pixels, tile
from dcgan.training.models.networks import Generator, labels_in_turn
from dcgan.training.models.pixels import to_pixels

GRID_IMAGES = 64
_FRAMES = 100  # of a film


def fixed_latents(seed: int, latent_size: int) -> Tensor:
    """The latent vectors of every grid: those that a server draws for the run's seed, float32 [64, latent_size]."""
    return torch.from_numpy(noise.latents(seed, 0, GRID_IMAGES, latent_size))


@torch.no_grad()
def draw_grid(generator: Generator, z: Tensor) -> Pixels:
    """What the generator makes of latent vectors, uint8 [H, W, C]; it must be in eval mode, as it will be exported."""
    device = next(generator.parameters()).device
    label = labels_in_turn(len(z), generator.config.classes, device)
    return tile(to_array(generator(z.to(device), label)))


def film(grids: list[Path]) -> bytes:
    """A film of grids, as an animated WebP file: the last picture stands for two seconds, and it begins again."""
    chosen = [grids[round(i)] for i in np.linspace(0, len(grids) - 1, min(len(grids), _FRAMES))]
    frames = []
    for path in chosen:
        with Image.open(path) as image:
            frames.append(image.convert("RGB"))
    durations = [100] * (len(frames) - 1) + [2000]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        quality=80,
    )
    return buffer.getvalue()


def to_array(images: Tensor) -> Pixels:
    """[B, C, H, W] in [-1, 1], on any device -> uint8 [B, H, W, C] on the CPU."""
    return np.ascontiguousarray(to_pixels(images.float()).cpu().numpy())
