"""The shapes of the generator and the discriminator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dcgan.training.errors import TrainingError

IMAGE_SIZES = (32, 64)
NORMS = ("batch", "spectral", "none")

_DOUBLINGS = 3  # of the width, in a discriminator of depth 2


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Shape of a generator.

    Attributes:
        image_size: height and width of an image, 32 or 64.
        channels: 3 (RGB) or 1 (grey).
        latent_size: length of a latent vector (nz).
        width: channels of the last hidden layer (ngf); each earlier layer has twice as many.
        classes: number of classes, 0 for an unconditional model.
    """

    image_size: int = 64
    channels: int = 3
    latent_size: int = 100
    width: int = 64
    classes: int = 0

    def __post_init__(self) -> None:
        _check_classes(self.classes)
        fits = 1 <= self.latent_size <= 2**16
        _check(fits, f"latent_size must be 1 to 65536, not {self.latent_size}")
        _check_shape(self.image_size, self.channels, self.width)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Shape of a discriminator.

    Attributes:
        image_size: height and width of an image, 32 or 64.
        channels: 3 (RGB) or 1 (grey).
        width: channels of the first hidden layer (ndf); at depth 1 each later layer has twice as
            many.
        norm: "batch" (all hidden layers but the first), "spectral" (every layer; Miyato et al.
            2018) or "none".
        depth: convolutions at each size of the feature map: 1, the 4x4 one of stride 2 that halves
            it; or 2, a 3x3 one of stride 1 before each of those and after the last, and twice the
            channels after each of the last three halvings. These are the layers of SN-GAN's
            discriminator (Miyato et al. 2018): seven at image size 32, nine at 64.
        classes: number of classes, 0 for an unconditional model.
    """

    image_size: int = 64
    channels: int = 3
    width: int = 64
    norm: str = "batch"
    depth: int = 1
    classes: int = 0

    def __post_init__(self) -> None:
        _check_classes(self.classes)
        norms = ", ".join(NORMS)
        _check(
            self.norm in NORMS, f"discriminator.norm must be one of {norms}, not {self.norm!r:.60}"
        )
        _check(self.depth in (1, 2), f"discriminator.depth must be 1 or 2, not {self.depth}")
        _check_shape(self.image_size, self.channels, self.width)


class LayerShape(NamedTuple):
    """Shape of a hidden convolution of the discriminator, with padding 1.

    Attributes:
        channels_in: of its input.
        channels_out: of its output.
        kernel: height and width of the kernel.
        stride: 1 keeps the size of the feature map, 2 halves it.
        side: height and width of the output.
    """

    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    side: int


def discriminator_layers(config: DiscriminatorConfig) -> list[LayerShape]:
    """Returns the hidden convolutions of a discriminator, from the image to the 4x4 map."""
    n = halvings(config.image_size)
    sides = [config.image_size // 2**i for i in range(1, n + 1)]
    if config.depth == 1:
        widths = [config.channels, *(config.width * 2**i for i in range(n))]
        pairs = zip(pairwise(widths), sides, strict=True)
        return [LayerShape(a, b, 4, 2, side) for (a, b), side in pairs]

    # The width doubles at the last three halvings: all of 32x32 images, and all but one of 64x64.
    first = config.width
    widths = [first * 2 ** max(0, i + _DOUBLINGS - n) for i in range(n + 1)]
    layers = [LayerShape(config.channels, first, 3, 1, config.image_size)]
    for (a, b), side in zip(pairwise(widths), sides, strict=True):
        layers += [LayerShape(a, b, 4, 2, side), LayerShape(b, b, 3, 1, side)]
    return layers


def halvings(image_size: int) -> int:
    """Returns the number of times that an image is halved until it is 4x4."""
    return int(math.log2(image_size)) - 2


def _check_shape(image_size: int, channels: int, width: int) -> None:
    _check(image_size in IMAGE_SIZES, f"image_size must be one of {IMAGE_SIZES}, not {image_size}")
    _check(channels in (1, 3), f"channels must be 1 or 3, not {channels}")
    _check(1 <= width <= 2**10, f"width must be 1 to 1024, not {width}")


def _check_classes(classes: int) -> None:
    _check(classes == 0 or 2 <= classes <= 2**16, f"classes must be 0 or 2 to 65536, not {classes}")


def _check(fits: bool, message: str) -> None:
    if not fits:
        raise TrainingError(message)
