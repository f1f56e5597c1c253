"""Kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel.

Source: Binkowski et al. 2018, "Demystifying MMD GANs", who call it KID on Inception features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.features import Features

BLOCKS = 10


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


def kernel_distance(real: Features, fake: Features, blocks: int = BLOCKS) -> Estimate:
    """Computes the distance of two sets and its standard error.

    The kernel is k(x, y) = (x . y / d + 1)^3. The value uses all pairs of images. The standard
    error is a jackknife: both sets are cut into blocks in their order, and the distance is
    computed once without each block.

    Args:
        real: float32 [n, d].
        fake: float32 [m, d].
        blocks: to cut each set into.

    Returns:
        The distance, which is 0 on average for sets of one distribution and may be negative.

    Raises:
        EvaluationError: if a set has fewer than two images in a block.
    """
    if min(len(real), len(fake)) < 2 * blocks:
        raise EvaluationError(
            f"the kernel distance needs {2 * blocks} images or more of each set, "
            f"not {min(len(real), len(fake))}; choose a larger -n or another reference"
        )
    x = np.array_split(real, blocks)
    y = np.array_split(fake, blocks)
    sums = _Sums(_within(x), _within(y), _between(x, y))
    sizes_x = np.array([len(block) for block in x])
    sizes_y = np.array([len(block) for block in y])

    everything = np.ones(blocks, dtype=bool)
    value = sums.distance(sizes_x, sizes_y, everything)

    without = []
    for i in range(blocks):
        kept = everything.copy()
        kept[i] = False
        without.append(sums.distance(sizes_x, sizes_y, kept))
    variance = (blocks - 1) * np.var(without)
    return Estimate(value=float(value), error=float(np.sqrt(variance)))


@dataclass(frozen=True)
class _Sums:
    """Sums of the kernel over pairs of blocks, float64 [blocks, blocks]."""

    xx: NDArray[np.float64]
    yy: NDArray[np.float64]
    xy: NDArray[np.float64]

    def distance(
        self, sizes_x: NDArray[np.int64], sizes_y: NDArray[np.int64], kept: NDArray[np.bool_]
    ) -> float:
        """Returns the unbiased estimate from the blocks that are kept."""
        chosen = np.ix_(kept, kept)
        n = int(sizes_x[kept].sum())
        m = int(sizes_y[kept].sum())
        within_x = self.xx[chosen].sum() / (n * (n - 1))
        within_y = self.yy[chosen].sum() / (m * (m - 1))
        return float(within_x + within_y - 2 * self.xy[chosen].sum() / (n * m))


def _kernel(x: Features, y: Features) -> NDArray[np.float64]:
    products = (x @ y.T).astype(np.float64) / x.shape[1] + 1
    return np.asarray(products * products * products)


def _within(blocks: list[Features]) -> NDArray[np.float64]:
    """Sums over pairs of different images of one set."""
    sums = np.zeros((len(blocks), len(blocks)))
    for i, block in enumerate(blocks):
        kernel = _kernel(block, block)
        sums[i, i] = kernel.sum() - np.trace(kernel)
        for j in range(i):
            sums[i, j] = sums[j, i] = _kernel(block, blocks[j]).sum()
    return sums


def _between(x: list[Features], y: list[Features]) -> NDArray[np.float64]:
    return np.array([[_kernel(a, b).sum() for b in y] for a in x])
