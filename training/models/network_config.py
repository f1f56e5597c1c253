"""The shapes of the generator and the discriminator."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.training.errors import TrainingError

IMAGE_SIZES = (32, 64)
NORMS = ("batch", "spectral", "none")


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
        width: channels of the first hidden layer (ndf); each later layer has twice as many.
        norm: "batch" (all hidden layers but the first), "spectral" (every layer; Miyato et al.
            2018) or "none".
        classes: number of classes, 0 for an unconditional model.
    """

    image_size: int = 64
    channels: int = 3
    width: int = 64
    norm: str = "batch"
    classes: int = 0

    def __post_init__(self) -> None:
        _check_classes(self.classes)
        norms = ", ".join(NORMS)
        _check(
            self.norm in NORMS, f"discriminator.norm must be one of {norms}, not {self.norm!r:.60}"
        )
        _check_shape(self.image_size, self.channels, self.width)


def _check_shape(image_size: int, channels: int, width: int) -> None:
    _check(image_size in IMAGE_SIZES, f"image_size must be one of {IMAGE_SIZES}, not {image_size}")
    _check(channels in (1, 3), f"channels must be 1 or 3, not {channels}")
    _check(1 <= width <= 2**10, f"width must be 1 to 1024, not {width}")


def _check_classes(classes: int) -> None:
    _check(classes == 0 or 2 <= classes <= 2**16, f"classes must be 0 or 2 to 65536, not {classes}")


def _check(fits: bool, message: str) -> None:
    if not fits:
        raise TrainingError(message)
