"""Every random number of a run: a pure function of its seed, a purpose and a step.

Nothing is carried from step to step, so a run that is resumed, or shared among processes, draws what it would have
drawn anyway. The source is Philox4x64 (see `dcgan.core.noise`) with the purpose in its key and the step in its counter.
A run that has gone back after a collapse makes a detour: the number of it, in the counter too, changes every draw.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Purpose(IntEnum):
    """What numbers are for. Values are part of what a seed means and never change; 0 is the served noise."""

    ORDER = 1  # of the images in an epoch
    LATENTS = 2
    FLIP = 3
    AUGMENT = 4
    STATISTICS = 5  # latent vectors for the averaged generator's batch normalisation


def order(seed: int, epoch: int, images: int, detour: int = 0) -> NDArray[np.int64]:
    """The order in which an epoch (from 0) shows the images: a permutation, int64 [images]."""
    return _source(seed, Purpose.ORDER, epoch, detour).permutation(images)


def normals(
    seed: int, purpose: Purpose, step: int, shape: tuple[int, ...], detour: int = 0
) -> Tensor:
    """Standard normals, float32, on the CPU."""
    return torch.from_numpy(
        _source(seed, purpose, step, detour).standard_normal(shape, dtype=np.float32)
    )


def uniforms(
    seed: int, purpose: Purpose, step: int, shape: tuple[int, ...], detour: int = 0
) -> Tensor:
    """Uniform numbers in [0, 1), float32, on the CPU."""
    return torch.from_numpy(_source(seed, purpose, step, detour).random(shape, dtype=np.float32))


def _source(seed: int, purpose: Purpose, step: int, detour: int) -> np.random.Generator:
    # Each (purpose, step, detour) has 2^64 blocks of its own: they count in the upper words of the counter.
    key = np.array([seed, purpose], dtype=np.uint64)
    return np.random.Generator(
        np.random.Philox(key=key, counter=np.array([0, step, detour, 0], dtype=np.uint64))
    )
