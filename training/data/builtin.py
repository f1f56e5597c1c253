"""Data sets that libraries bring: digits (scikit-learn) and CIFAR-10 (torchvision)."""

from __future__ import annotations

from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.core.atomic import is_disk_full
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.training.data.source import ImageSource
from dcgan.training.errors import TrainingError


def open_digits() -> ImageSource:
    """Opens scikit-learn's 1,797 handwritten digits: grey, 10x10 with a dark margin of 1."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second

    digits = load_digits()
    levels = np.round(digits.images * (255.0 / 16.0)).astype(np.uint8)  # [1797, 8, 8], 0 to 16
    images = np.pad(levels, ((0, 0), (1, 1), (1, 1)))
    labels = tuple(int(label) for label in digits.target)
    class_names = tuple(str(digit) for digit in range(10))
    return _in_memory("scikit-learn digits", images, labels, class_names)


def open_cifar10() -> ImageSource:
    """Opens the 50,000 training images of CIFAR-10, 32x32 in color; downloads them once.

    Raises:
        TrainingError: if they cannot be downloaded or kept.
    """
    from torchvision.datasets import CIFAR10  # noqa: PLC0415 - takes a second

    folder = cache_dir() / "data" / "cifar10"
    try:
        # Two processes would otherwise write one archive.
        with wait_for_lock(folder.with_suffix(".lock"), "download CIFAR-10"):
            data = CIFAR10(str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the body of the response
        if is_disk_full(error):
            raise TrainingError(
                f"cannot keep CIFAR-10 in {folder}: {error.strerror}; free some space or set "
                "DCGAN_HOME"
            ) from None
        raise TrainingError(
            f"cannot download CIFAR-10 ({error!s:.200}); put cifar-10-python.tar.gz into {folder}"
        ) from None

    labels = tuple(int(label) for label in data.targets)
    return _in_memory("CIFAR-10", data.data, labels, tuple(data.classes))


def _in_memory(
    name: str, images: NDArray[np.uint8], labels: tuple[int, ...], class_names: tuple[str, ...]
) -> ImageSource:
    return ImageSource(
        name=name,
        items=tuple(f"image {i}" for i in range(len(images))),
        open=lambda i: Image.fromarray(images[i]),
        labels=labels,
        class_names=class_names,
    )
