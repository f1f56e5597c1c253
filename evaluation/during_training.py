"""KD-Lite0 of the generator during training, which `dcgan-train --evaluate-every` uses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.evaluation.classes import choose_labels
from dcgan.evaluation.features import Extractor, Features, Lite0, cached, extract
from dcgan.evaluation.kernel_distance import kernel_distance
from dcgan.evaluation.reference import sample_order
from dcgan.evaluation.report import PROTOCOL
from dcgan.training.data.dataset import Dataset
from dcgan.training.models.networks import Generator
from dcgan.training.models.pixels import to_pixels
from dcgan.training.monitor.quality import Evaluator, Quality

IMAGES = 2_000
"""Images of each side, or all training images if they are fewer."""

_SEED = 0
_BATCH = 50


def open_evaluator(dataset: Dataset, device: str) -> Evaluator:
    """Returns a function that compares a generator with training images.

    It computes what `dcgan-evaluate -n 2000` computes of the exported model, with the training data
    as reference, except for rounding: of the weights, and of the features on a GPU.

    Args:
        dataset: the training images.
        device: where the features are computed, "cpu" or "cuda".

    Raises:
        ModuleNotFoundError: if the weights of the features are not installed.
        EvaluationError: if there are too few images.
    """
    return TrainingEvaluator(dataset, Lite0(device))


class TrainingEvaluator:
    """Compares generators with a sample of the training images.

    Args:
        dataset: the training images.
        extractor: computes features.
        images: on each side.
    """

    def __init__(self, dataset: Dataset, extractor: Extractor, images: int = IMAGES) -> None:
        self._extractor = extractor
        self._images = min(images, len(dataset.images))
        self._size = dataset.images.shape[1]

        sample = sample_order(len(dataset.images), _SEED)[: self._images]
        self._labels = None if dataset.labels is None else dataset.labels[sample]
        self._classes = dataset.classes
        self._real = self._reference(dataset, sample)
        kernel_distance(self._real, self._real)  # raises if there are too few images

    def __call__(self, generator: Generator) -> Quality:
        """Returns the distance of images 0, 1, ... of seed 0."""
        images = self._generate(generator)
        size = min(self._size, images.shape[1])
        features = extract(images, self._extractor, size, _silent, "generated")
        distance = kernel_distance(self._real, features)
        return Quality(distance=1000 * distance.value, error=1000 * distance.error)

    def _reference(self, dataset: Dataset, sample: NDArray[np.int64]) -> Features:
        facts: dict[str, object] = {
            "protocol": PROTOCOL,
            "extractor": self._extractor.digest,
            "data": dataset.sha256,
            "set": "during training",
            "n": self._images,
            "size": self._size,
            "seed": _SEED,
        }
        images = np.asarray(dataset.images[sample])
        return cached(
            facts, lambda: extract(images, self._extractor, self._size, _silent, "training")
        )

    @torch.inference_mode()
    def _generate(self, generator: Generator) -> Pixels:
        """Returns uint8 [n, H, H, C]."""
        config = generator.config
        device = next(generator.parameters()).device
        labels = choose_labels(config.classes, self._images, self._labels, self._classes)

        batches = []
        for start in range(0, self._images, _BATCH):
            count = min(_BATCH, self._images - start)
            z = torch.from_numpy(noise.latents(_SEED, start, count, config.latent_size))
            label = None
            if labels is not None:
                label = torch.from_numpy(labels[start : start + count].copy()).to(device)
            batches.append(to_pixels(generator(z.to(device), label).float()).cpu().numpy())
        return np.concatenate(batches)


def _silent(numbers: Iterable[int], _: str) -> Iterable[int]:
    return numbers
