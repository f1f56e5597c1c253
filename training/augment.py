"""Changes of images that a gradient passes through, for real and generated images alike.

From "Differentiable Augmentation for Data-Efficient GAN Training" (Zhao et al. 2020): the discriminator sees only
changed images, so it cannot learn the few real ones by heart, and the generator still learns the unchanged ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

DRAWS = 7
"""Uniform numbers that one image needs."""


def augment(images: Tensor, names: tuple[str, ...], draws: Tensor) -> Tensor:
    """Changes each image by its own draws.

    Args:
        images: [B, C, H, W] in [-1, 1].
        names: any of "colour", "translation" and "cutout".
        draws: uniform in [0, 1), [B, DRAWS], on the same device.

    Returns:
        [B, C, H, W].
    """
    if "colour" in names:
        images = _colour(images, draws[:, 0:3])
    if "translation" in names:
        images = _translate(images, draws[:, 3:5])
    if "cutout" in names:
        images = _cut_out(images, draws[:, 5:7])
    return images


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness by up to a quarter of the range, saturation by 0 to 2, contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = draws[:, :, None, None, None].unbind(1)  # [B, 1, 1, 1] each
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (saturation * 2.0) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _translate(images: Tensor, draws: Tensor) -> Tensor:
    """Moves by up to an eighth of the size, in whole pixels; what comes in from outside is mid-grey."""
    size = images.shape[-1]
    most = size // 8
    moves = (draws * (2 * most + 1)).long() - most  # [B, 2]
    place = torch.arange(size, device=images.device)
    rows, columns = place + moves[:, :1], place + moves[:, 1:]  # [B, size]
    inside = _inside(rows, size)[:, None, :, None] & _inside(columns, size)[:, None, None, :]
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    rows, columns = rows.clamp(0, size - 1), columns.clamp(0, size - 1)
    moved = images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved * inside


def _cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Paints a square of half the size mid-grey; its centre may lie anywhere."""
    size = images.shape[-1]
    centre = (draws * size).long()  # [B, 2]
    place = torch.arange(size, device=images.device)
    low, high = centre - size // 4, centre + size // 4
    rows = (place >= low[:, :1]) & (place < high[:, :1])  # [B, size]
    columns = (place >= low[:, 1:]) & (place < high[:, 1:])
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _inside(place: Tensor, size: int) -> Tensor:
    return (place >= 0) & (place < size)
