"""Frechet distance between Gaussians fitted to two sets of features.

Source: Dowson and Landau 1982; Heusel et al. 2017, who call it FID on Inception features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.features import Features


def frechet_distance(real: Features, fake: Features) -> float:
    """Computes |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) in float64.

    Args:
        real: float32 [n, d].
        fake: float32 [m, d].

    Raises:
        EvaluationError: if a set has fewer than d + 1 images, whose covariance is singular.
    """
    check_covariance(min(len(real), len(fake)), real.shape[1])
    mean_real, covariance_real = _moments(real)
    mean_fake, covariance_fake = _moments(fake)

    # The eigenvalues of S1 S2 are those of the symmetric matrix S1^(1/2) S2 S1^(1/2).
    root = _square_root(covariance_real)
    eigenvalues = np.linalg.eigvalsh(root @ covariance_fake @ root)
    overlap = np.sqrt(np.clip(eigenvalues, 0, None)).sum()

    difference = mean_real - mean_fake
    traces = np.trace(covariance_real) + np.trace(covariance_fake)
    return float(difference @ difference + traces - 2 * overlap)


def check_covariance(images: int, dimensions: int) -> None:
    """Checks that a covariance of so many images is not singular.

    Raises:
        EvaluationError: if there are fewer than dimensions + 1.
    """
    if images <= dimensions:
        raise EvaluationError(
            f"the Frechet distance needs {dimensions + 1:,} images or more of each set for its "
            f"covariance, not {images:,}; choose a larger -n or reference, or add --no-frechet"
        )


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    exact = features.astype(np.float64)
    return exact.mean(axis=0), np.cov(exact, rowvar=False)


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the symmetric square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)
