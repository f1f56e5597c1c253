"""Random numbers of a run: pure functions of seed, purpose, step and number of rollbacks.

Nothing is carried from step to step, so a resumed run and every process of a distributed run draw
the numbers that an uninterrupted run draws. The generator is Philox4x64 (see `dcgan.core.noise`)
with the seed and the purpose in its key and the step in its counter. Each rollback after a collapse
changes the counter too, and with it every number.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Purpose(IntEnum):
    """What random numbers are used for.

    The values are part of what a seed means and never change. 0 is the noise that the service
    draws.
    """

    ORDER = 1  # of the images in an epoch
    LATENTS = 2
    FLIP = 3
    AUGMENT = 4
    STATISTICS = 5  # latent vectors for the batch-norm statistics of the EMA generator


def permutation(seed: int, epoch: int, n: int, rollbacks: int = 0) -> NDArray[np.int64]:
    """Returns the order of the images in an epoch (counted from 0): a permutation, int64 [n]."""
    return _generator(seed, Purpose.ORDER, epoch, rollbacks).permutation(n)


def normals(
    seed: int, purpose: Purpose, step: int, shape: tuple[int, ...], rollbacks: int = 0
) -> Tensor:
    """Returns standard normals, float32, on the CPU."""
    generator = _generator(seed, purpose, step, rollbacks)
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def uniforms(
    seed: int, purpose: Purpose, step: int, shape: tuple[int, ...], rollbacks: int = 0
) -> Tensor:
    """Returns uniform numbers in [0, 1), float32, on the CPU."""
    generator = _generator(seed, purpose, step, rollbacks)
    return torch.from_numpy(generator.random(shape, dtype=np.float32))


def _generator(seed: int, purpose: Purpose, step: int, rollbacks: int) -> np.random.Generator:
    # The lowest word of the counter is left to the generator: 2^64 blocks for each combination.
    key = np.array([seed, purpose], dtype=np.uint64)
    counter = np.array([0, step, rollbacks, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
