"""Classes: the labels to generate, and whether a linear classifier of real features agrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.evaluation.features import Features

_RIDGE = 1.0


def choose_labels(
    classes: int, n: int, real_labels: NDArray[np.int64] | None, real_classes: int
) -> NDArray[np.int64] | None:
    """Returns the labels to generate, int64 [n]; None without classes.

    They are `real_labels` if the real images have as many classes, so that both sides have the same
    shares of them, and 0, 1, ... in turn otherwise.

    Args:
        classes: number of classes of the generator; 0 without labels.
        n: number of images.
        real_labels: of the real images, int64 [n]; None if they have none.
        real_classes: number of classes of the data set of the real images; 0 without labels.
    """
    if classes == 0:
        return None
    if real_labels is not None and real_classes == classes:
        return real_labels
    return noise.labels(0, n, classes)


def class_accuracy(
    real: Features,
    real_labels: NDArray[np.int64],
    fake: Features,
    fake_labels: NDArray[np.int64],
) -> float:
    """Fits ridge regression to one-hot labels of real images and classifies generated ones.

    Features are centred by the mean of the real ones; the ridge is 1.

    Args:
        real: float32 [n, d].
        real_labels: int64 [n].
        fake: float32 [m, d].
        fake_labels: int64 [m], the labels that were asked for.

    Returns:
        Share of the generated images whose class is the one that was asked for.
    """
    mean = real.astype(np.float64).mean(axis=0)
    x = real - mean
    targets = np.eye(int(real_labels.max()) + 1)[real_labels]
    shares = targets.mean(axis=0)

    gram = x.T @ x + _RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - shares))
    scores = (fake - mean) @ weights + shares
    return float((scores.argmax(axis=1) == fake_labels).mean())
