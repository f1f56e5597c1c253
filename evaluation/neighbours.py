"""Nearest neighbours in feature space: precision, recall, density, coverage, diversity.

Sources: Kynkaanniemi et al. 2019, "Improved Precision and Recall"; Naeem et al. 2020, "Reliable
Fidelity and Diversity Metrics".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.evaluation.features import Features

K = 5
"""The radius around an image reaches to its K-th nearest neighbour in its own set."""

_ROWS = 1000  # of a distance matrix at once


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Precision, recall, density and coverage of generated images compared with real ones.

    Attributes:
        precision: share of generated images inside the radius of a real one.
        recall: share of real images inside the radius of a generated one.
        density: real radii that a generated image lies in, on average, divided by K.
        coverage: share of real images with a generated one inside their radius.
        nearest: for each generated image, the index of the nearest real one.
        distances: and its distance.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    nearest: NDArray[np.int64]
    distances: NDArray[np.float32]


def compare_neighbours(real: Features, fake: Features) -> Neighbours:
    """Computes the measures.

    Args:
        real: float32 [n, d].
        fake: float32 [m, d].
    """
    real_radii = _radii(real)
    fake_radii = _radii(fake)

    inside = np.zeros(len(fake), dtype=np.int64)
    nearest = np.zeros(len(fake), dtype=np.int64)
    smallest = np.full(len(fake), np.inf, dtype=np.float32)
    recalled = np.zeros(len(real), dtype=bool)
    covered = np.zeros(len(real), dtype=bool)

    for start in range(0, len(real), _ROWS):
        rows = slice(start, start + _ROWS)
        squares = _squared_distances(real[rows], fake)  # [rows, m]
        is_inside = squares <= real_radii[rows, None]
        inside += is_inside.sum(axis=0)
        covered[rows] = is_inside.any(axis=1)
        recalled[rows] = (squares <= fake_radii[None, :]).any(axis=1)

        closest = squares.argmin(axis=0)
        values = squares[closest, np.arange(len(fake))]
        nearest = np.where(values < smallest, closest + start, nearest)
        smallest = np.minimum(smallest, values)

    return Neighbours(
        precision=float((inside > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside.mean() / K),
        coverage=float(covered.mean()),
        nearest=nearest,
        distances=np.sqrt(smallest),
    )


def diversity(features: Features) -> float:
    """Returns the mean distance between images 2i and 2i + 1 of a set."""
    pairs = len(features) // 2
    difference = features[: 2 * pairs : 2] - features[1 : 2 * pairs : 2]
    return float(np.sqrt((difference.astype(np.float64) ** 2).sum(axis=1)).mean())


def _radii(features: Features) -> NDArray[np.float32]:
    """Returns the squared distance of each image to its K-th nearest neighbour, itself excluded."""
    radii = []
    for start in range(0, len(features), _ROWS):
        squares = _squared_distances(features[start : start + _ROWS], features)
        radii.append(np.partition(squares, K, axis=1)[:, K])  # the smallest is the image itself
    return np.concatenate(radii)


def _squared_distances(x: Features, y: Features) -> NDArray[np.float32]:
    """Returns squared Euclidean distances, float32 [n, m]."""
    products = x @ y.T
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2 * products
    return np.asarray(np.maximum(squares, 0))
