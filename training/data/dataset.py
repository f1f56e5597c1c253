"""Decoded images and their labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels

# Images that are hashed at a time; a memory map may be larger than memory.
_HASHED_IMAGES = 4096


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Decoded images and their labels.

    Attributes:
        name: name to show, without a path.
        images: uint8 [N, size, size, channels]; size is that of the recipe or, for small square
            images, their own.
        labels: int64 [N], or None without classes.
        class_names: one for each class, or none.
        sha256: digest of images and labels.
        corrupt: sentences about images that were left out because they cannot be used.
        labels_problem: why the labels of the source cannot be used; None if they can, or if there
            are none.
        notes: sentences about how the images were decoded.
    """

    name: str
    images: Pixels
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    sha256: str
    corrupt: tuple[str, ...] = ()
    labels_problem: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes, 0 without labels; names are optional, and a class may be unused."""
        if self.labels is None:
            return 0
        return max(int(self.labels.max()) + 1, len(self.class_names))


def dataset_digest(images: Pixels, labels: NDArray[np.int64] | None) -> str:
    """Returns the SHA-256 of the shape, the pixels and the labels."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for start in range(0, len(images), _HASHED_IMAGES):
        digest.update(images[start : start + _HASHED_IMAGES].tobytes())
    if labels is not None:
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()
