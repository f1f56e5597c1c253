"""Features of images: extractors, and a cache on disk."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
import torch
from numpy.typing import NDArray

from dcgan.core.atomic import write_file
from dcgan.core.images import Pixels
from dcgan.core.paths import cache_dir
from dcgan.evaluation.efficientnet import (
    FEATURES,
    INPUT_SIZE,
    WEIGHTS_SHA256,
    find_weights,
    load_efficientnet,
)
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.preprocess import prepare, shrink

Features = NDArray[np.float32]
"""Features of n images, float32 [n, d]."""

Progress = Callable[[Iterable[int], str], Iterable[int]]
"""Passes numbers on and shows how far they have come, under a title."""

_BATCH = 50
# On a CPU the activations of so few images fit in its caches, which is 1.5 times faster.
_AT_ONCE = 2


class Extractor(Protocol):
    """Computes features of images.

    Attributes:
        name: stands in the names of the distances, e.g. "Lite0".
        digest: identifies weights, preprocessing and, on a GPU, rounding.
        dimensions: length d of a feature vector.
    """

    name: str
    digest: str
    dimensions: int

    def __call__(self, images: Pixels) -> Features:
        """Returns the features, float32 [n, d], of images, uint8 [n, H, H, C]."""


class Lite0:
    """Features of EfficientNet-Lite0.

    Args:
        device: where they are computed. `dcgan-evaluate` uses the CPU, so that its numbers do not
            depend on the GPU.
    """

    name = "Lite0"
    dimensions = FEATURES

    def __init__(self, device: str = "cpu") -> None:
        self.digest = WEIGHTS_SHA256 if device == "cpu" else f"{WEIGHTS_SHA256} on {device}"
        self._device = device
        self._network = load_efficientnet(find_weights()).to(device)

    def __call__(self, images: Pixels) -> Features:
        """Returns the features, float32 [n, 1280], of images, uint8 [n, H, H, C]."""
        pixels = prepare(images, INPUT_SIZE, self._device)
        at_once = _AT_ONCE if self._device == "cpu" else len(pixels)
        with torch.inference_mode():
            features = torch.cat([self._network(few) for few in torch.split(pixels, at_once)])
        return np.ascontiguousarray(features.cpu().numpy())


def extract(
    images: Pixels, extractor: Extractor, size: int, progress: Progress, title: str
) -> Features:
    """Computes the features of a set of images in batches.

    Args:
        images: uint8 [n, H, H, C].
        extractor: what computes them.
        size: larger images are averaged down to it first.
        progress: shows how far it is.
        title: kind of images, for the progress and for errors.

    Raises:
        EvaluationError: if a feature is NaN or infinite.
    """
    batches = []
    for start in progress(range(0, len(images), _BATCH), f"features of {title} images"):
        batches.append(extractor(shrink(images[start : start + _BATCH], size)))

    features = np.concatenate(batches)
    if not np.isfinite(features).all():
        raise EvaluationError(f"the features of the {title} images are NaN or infinite")
    return features


def cached(facts: dict[str, object], compute: Callable[[], Features]) -> Features:
    """Returns features from the cache folder, or computes and stores them.

    Args:
        facts: everything that the features depend on, as JSON values.
        compute: makes them.
    """
    versions = {"pillow": PIL.__version__, "torch": torch.__version__}
    key = hashlib.sha256(json.dumps([facts, versions], sort_keys=True).encode()).hexdigest()[:32]
    path = cache_dir() / "features" / f"{key}.npy"

    found = _read(path)
    if found is not None:
        return found

    features = compute()
    buffer = io.BytesIO()
    np.save(buffer, features, allow_pickle=False)
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise EvaluationError(
            f"cannot write the feature cache {path.parent}: {error.strerror}; "
            "make room or set DCGAN_HOME"
        ) from None
    return features


def _read(path: Path) -> Features | None:
    """Reads cached features; None if there are none or the file is damaged."""
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, ValueError, EOFError):
        return None
