"""Changes of images that a gradient passes through, for real and generated images alike.

From "Differentiable Augmentation for Data-Efficient GAN Training" (Zhao et al. 2020): the discriminator sees only
changed images, so it cannot learn the few real ones by heart, and the generator still learns the unchanged ones.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

DRAWS = 8
"""Uniform numbers that one image needs."""


def augment(
    images: Tensor, names: tuple[str, ...], draws: Tensor, probability: float = 1.0
) -> Tensor:
    """Changes each image by its own draws.

    Args:
        images: [B, C, H, W] in [-1, 1].
        names: any of "colour", "translation" and "cutout".
        draws: uniform in [0, 1), [B, DRAWS], on the same device.
        probability: of an image to be changed at all. The others show D what images are like unchanged, without which
            traces of the changes are found in what G makes (Karras et al. 2020).

    Returns:
        [B, C, H, W].
    """
    if not names:
        return images
    changed = images
    if "colour" in names:
        changed = _colour(changed, draws[:, 0:3])
    if "translation" in names:
        changed = _translate(changed, draws[:, 3:5])
    if "cutout" in names:
        changed = _cut_out(changed, draws[:, 5:7])
    if probability == 1:
        return changed
    return torch.where(draws[:, 7, None, None, None] < probability, changed, images)


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness by up to a quarter of the range, saturation by 0 to 2, contrast by 0.5 to 1.5.

    One change after the other, x + b, (x - grey) s + grey and (x - mean) c + mean, multiplied out: the pixels, their
    grey and their mean have a factor each.
    """
    brightness, saturation, contrast = draws[:, :, None, None, None].unbind(1)  # [B, 1, 1, 1] each
    brightness, saturation, contrast = brightness - 0.5, saturation * 2.0, contrast + 0.5
    grey = images.mean(dim=1, keepdim=True, dtype=torch.float32)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    base = contrast * (1.0 - saturation) * grey + (
        (1.0 - contrast) * mean + brightness
    )  # [B, 1, H, W]
    return contrast * saturation * images + base


def _translate(images: Tensor, draws: Tensor) -> Tensor:
    """Moves by up to an eighth of the size, in whole pixels; what comes in from outside is mid-grey."""
    most = _most(images)
    return cast(Tensor, _Move.apply(images, (draws * (2 * most + 1)).long() - most))


class _Move(torch.autograd.Function):
    """Its gradient is moved back, which costs as little; that of an indexed tensor is added up pixel by pixel."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, moves: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        ctx.save_for_backward(moves)
        most = _most(images)
        padded = torch.nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, most, most, most, most))
        windows = padded.unfold(1, images.shape[2], 1).unfold(
            2, images.shape[3], 1
        )  # a view, [B, y, x, C, H, W]
        batch, (rows, columns) = (
            torch.arange(len(images), device=images.device),
            (moves + most).unbind(1),
        )
        return windows.permute(0, 1, 2, 4, 5, 3)[batch, rows, columns].permute(
            0, 3, 1, 2
        )  # in channels-last order

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (moves,) = ctx.saved_tensors
        return _Move.apply(gradient, -moves), None


def _most(images: Tensor) -> int:
    """Pixels by which an image may be moved."""
    return images.shape[-1] // 8


def _cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Paints a square of half the size mid-grey; its centre may lie anywhere."""
    size = images.shape[-1]
    centre = (draws * size).long()  # [B, 2]
    place = torch.arange(size, device=images.device)
    low, high = centre - size // 4, centre + size // 4
    rows = (place >= low[:, :1]) & (place < high[:, :1])  # [B, size]
    columns = (place >= low[:, 1:]) & (place < high[:, 1:])
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])
