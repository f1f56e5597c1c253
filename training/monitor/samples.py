"""Sample grids of a run, always from the same latent vectors, and the animation of all grids."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dcgan.core import noise
from dcgan.core.bounded import read_bounded
from dcgan.core.images import Pixels, decode_png, tile, to_pillow
from dcgan.training.host_copy import HostCopy
from dcgan.training.models.networks import Generator, cyclic_labels
from dcgan.training.models.pixels import to_pixels

GRID_IMAGES = 64
"""Images in a grid."""

_MAX_FRAMES = 100
_MAX_FRAME_PIXELS = 2**20  # four times those of the largest grid
_MAX_FRAME_BYTES = 2**24
_FRAME_MILLISECONDS = 100
_LAST_FRAME_MILLISECONDS = 2000


def fixed_latents(seed: int, latent_size: int) -> Tensor:
    """Returns the latent vectors of every grid, float32 [64, latent_size].

    They are those that the service draws for the run's seed.
    """
    return torch.from_numpy(noise.latents(seed, 0, GRID_IMAGES, latent_size))


@torch.no_grad()
def draw_samples(generator: Generator, z: Tensor) -> HostCopy:
    """Generates the images of a grid, and does not wait for them.

    Args:
        generator: in eval mode, as it will be exported.
        z: latent vectors, [n, latent_size].

    Returns:
        uint8 [n, H, W, C].
    """
    device = next(generator.parameters()).device
    label = cyclic_labels(len(z), generator.config.classes, device)
    images = generator(z.to(device), label)
    return HostCopy(to_pixels(images.float()).contiguous())


def draw_grid(generator: Generator, z: Tensor) -> Pixels:
    """Draws a grid of generated images, uint8 [H, W, C]; see `draw_samples`."""
    return tile(draw_samples(generator, z).numpy())


def step_grids(folder: Path) -> list[Path]:
    """Returns the sample grids of steps in a folder, in the order of the steps."""
    # Numbers have six digits or more, so that longer names are later.
    return sorted(folder.glob("step-*.png"), key=lambda path: (len(path.name), path.name))


def encode_animation(grids: list[Path]) -> bytes | None:
    """Encodes grids as an animated WebP file that loops and shows the last grid for two seconds.

    Args:
        grids: image files in order; at most 100 of them, evenly spaced, become frames. Those that
            cannot be read, are too large or differ in size from the last one are left out.

    Returns:
        The file, or None if no grid can be read.
    """
    count = min(len(grids), _MAX_FRAMES)
    chosen = [grids[round(i)] for i in np.linspace(0, len(grids) - 1, count)]
    read = [frame for path in chosen if (frame := _read_frame(path)) is not None]
    if not read:
        return None
    frames = [frame for frame in read if frame.size == read[-1].size]

    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_FRAME_MILLISECONDS]
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


def _read_frame(path: Path) -> Image.Image | None:
    try:
        image = to_pillow(decode_png(read_bounded(path, _MAX_FRAME_BYTES)))
    except (OSError, ValueError):
        return None
    return image.convert("RGB") if image.width * image.height <= _MAX_FRAME_PIXELS else None


def to_array(images: Tensor) -> Pixels:
    """[B, C, H, W] in [-1, 1], on any device -> uint8 [B, H, W, C] on the CPU."""
    return np.ascontiguousarray(to_pixels(images.float()).cpu().numpy())
