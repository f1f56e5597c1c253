"""Differentiable augmentation (DiffAugment) of real and generated images.

From "Differentiable Augmentation for Data-Efficient GAN Training" (Zhao et al. 2020). The
discriminator sees augmented images only, so it cannot memorize a small data set, while the
generator learns the distribution of images without augmentation.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

DRAWS = 8
"""Uniform random numbers that one image needs."""


def augment(
    images: Tensor, names: tuple[str, ...], draws: Tensor, probability: float = 1.0
) -> Tensor:
    """Augments each image by its own random numbers.

    Args:
        images: [B, C, H, W] in [-1, 1].
        names: any of "colour", "translation" and "cutout".
        draws: uniform random numbers in [0, 1), [B, DRAWS], on the same device.
        probability: of an image to be augmented. The other images show D what images are like;
            without them, traces of the augmentation leak into G's images (Karras et al. 2020).

    Returns:
        [B, C, H, W].
    """
    if not names:
        return images

    augmented = images
    if "colour" in names:
        augmented = _colour(augmented, draws[:, 0:3])
    if "translation" in names:
        augmented = _translate(augmented, draws[:, 3:5])
    if "cutout" in names:
        augmented = _cut_out(augmented, draws[:, 5:7])

    if probability == 1:
        return augmented
    return torch.where(draws[:, 7, None, None, None] < probability, augmented, images)


def perturb(images: Tensor, draws: Tensor, *, flip: bool) -> Tensor:
    """Shifts each image by up to an eighth and mirrors half of them.

    These are the changes of consistency regularization (Zhao et al. 2021), under which the
    discriminator's judgement has to stay the same.

    Args:
        images: [B, C, H, W] in [-1, 1].
        draws: uniform random numbers in [0, 1), [B, DRAWS], on the same device.
        flip: whether images may be mirrored.

    Returns:
        [B, C, H, W].
    """
    shifted = _translate(images, draws[:, 3:5])
    if not flip:
        return shifted
    return torch.where(draws[:, 7, None, None, None] < 0.5, shifted.flip(3), shifted)


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    """Changes brightness by -0.5 to 0.5, saturation by 0 to 2, contrast by 0.5 to 1.5.

    The changes in this order are x + b, (x - grey) s + grey and (x - mean) c + mean. Multiplied
    out, the pixels, their grey and their mean have one factor each.
    """
    brightness, saturation, contrast = draws[:, :, None, None, None].unbind(1)  # [B, 1, 1, 1] each
    brightness = brightness - 0.5
    saturation = saturation * 2.0
    contrast = contrast + 0.5

    grey = images.mean(dim=1, keepdim=True, dtype=torch.float32)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    offset = (1.0 - contrast) * mean + brightness
    base = contrast * (1.0 - saturation) * grey + offset  # [B, 1, H, W]
    return contrast * saturation * images + base


def _translate(images: Tensor, draws: Tensor) -> Tensor:
    """Moves by up to an eighth of the size, in whole pixels; new pixels are mid-grey."""
    limit = _max_shift(images)
    shifts = (draws * (2 * limit + 1)).long() - limit
    return cast(Tensor, _Shift.apply(images, shifts))


class _Shift(torch.autograd.Function):
    """Shifts images; its gradient is shifted back.

    The gradient of an indexed tensor would be accumulated pixel by pixel, which is slow.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, shifts: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(shifts)
        limit = _max_shift(images)
        height, width = images.shape[2:]

        margins = (0, 0, limit, limit, limit, limit)
        padded = torch.nn.functional.pad(images.permute(0, 2, 3, 1), margins)
        windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # a view, [B, y, x, C, H, W]
        windows = windows.permute(0, 1, 2, 4, 5, 3)

        batch = torch.arange(len(images), device=images.device)
        rows, columns = (shifts + limit).unbind(1)
        return windows[batch, rows, columns].permute(0, 3, 1, 2)  # in channels-last order

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (shifts,) = ctx.saved_tensors
        return _Shift.apply(gradient, -shifts), None


def _max_shift(images: Tensor) -> int:
    return images.shape[-1] // 8


def _cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Paints a square of half the size mid-grey; its center may be anywhere in the image."""
    size = images.shape[-1]
    center = (draws * size).long()  # [B, 2]
    low = center - size // 4
    high = center + size // 4

    position = torch.arange(size, device=images.device)
    rows = (position >= low[:, :1]) & (position < high[:, :1])  # [B, size]
    columns = (position >= low[:, 1:]) & (position < high[:, 1:])
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])
