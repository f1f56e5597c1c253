"""Real images to compare with: two disjoint samples of a source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.core.images import Pixels
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.progress import show_decoding
from dcgan.training.data.cache import load_dataset
from dcgan.training.data.color import WHITE, parse_background
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.source import ImageSource, with_image
from dcgan.training.data.sources import open_source

_GREY_MODES = ("1", "L", "LA", "I", "I;16")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images and, where there are classes, their labels.

    Attributes:
        images: uint8 [n, H, H, C].
        labels: int64 [n], or None.
        indices: int64 [n], of the images in their source.
    """

    images: Pixels
    labels: NDArray[np.int64] | None
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A source of real images.

    Attributes:
        name: to show in reports.
        sha256: digest of all its images and labels.
        classes: number of classes of the source, named or not; 0 without labels.
        sample: what is compared with.
        others: as many other images of the source, for the baselines.
    """

    name: str
    sha256: str
    classes: int
    sample: Sample
    others: Sample


def open_reference(
    source: str, *, image_size: int, channels: int, n: int, seed: int, background: str = WHITE
) -> Reference:
    """Decodes a source and draws two disjoint samples, of `n` images each or of half of the source.

    Args:
        source: see `dcgan.training.data.sources.open_source`.
        image_size: larger images are cropped and resized to it, as in training.
        channels: 3 or 1.
        n: images wanted in each sample.
        seed: of the samples.
        background: color on which transparent images are laid, as in training.

    Raises:
        EvaluationError: if the images have another kind of color than `channels`.
        TrainingError: if the source cannot be read.
    """
    opened = open_source(source)
    check_channels(opened, channels)
    config = DecodeConfig(
        image_size=image_size, channels=channels, background=parse_background(background)
    )
    dataset = load_dataset(opened, config, show_decoding)

    count = min(n, len(dataset.images) // 2)
    if count == 0:
        raise EvaluationError(f"{dataset.name} has one image; name a reference with more of them")
    order = sample_order(len(dataset.images), seed)
    return Reference(
        name=dataset.name,
        sha256=dataset.sha256,
        classes=dataset.classes,
        sample=_take(dataset, order[:count]),
        others=_take(dataset, order[count : 2 * count]),
    )


def sample_order(images: int, seed: int) -> NDArray[np.int64]:
    """Returns the numbers of all images in random order.

    Images are sorted by the words of Philox4x64-10 with the key (seed, 0), which NumPy promises
    to keep.

    Returns:
        int64 [images].
    """
    key = np.array([seed, 0], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(images)
    return np.argsort(words, kind="stable")


def check_channels(source: ImageSource, channels: int) -> None:
    """Checks by the first image of a source that its images are grey or in color, as wanted.

    Raises:
        EvaluationError: if it is not.
        TrainingError: if the image cannot be opened.
    """
    grey = with_image(source, 0, is_grey)
    if grey != (channels == 1):
        kinds = ("grey", "color") if grey else ("color", "grey")
        raise EvaluationError(
            f"{source.name} has {kinds[0]} images, and what is evaluated has {kinds[1]} images; "
            "name a --reference of the same kind"
        )


def is_grey(image: Image.Image) -> bool:
    """Returns whether an image has no color channels."""
    return image.mode in _GREY_MODES


def _take(dataset: Dataset, indices: NDArray[np.int64]) -> Sample:
    labels = None if dataset.labels is None else dataset.labels[indices]
    return Sample(images=np.asarray(dataset.images[indices]), labels=labels, indices=indices)
