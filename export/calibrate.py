"""Scales of the activations for int8, from the noise distribution itself.

Every image ever asked for comes from the same standard normals, so that any sample of them is exact calibration data:
there is no data set to choose, and nothing to be unlike it later.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcgan.export.fold import Folded
from dcgan.zoo import noise

SEED = 2**32
"""Far from the seeds that people type, and from those on which quality is measured."""

_IMAGES, _BATCH = 512, 64
_BINS, _CANDIDATES = 4096, 64
_LEVELS = 255


def activation_scales(network: Folded) -> list[float]:
    """The step of 8 bits, 0 to 255, for the activations after each hidden layer.

    Each step has the least mean square error over the calibration images: a smaller one rounds more finely and cuts off
    more of the tail.
    """
    scales = []
    x = torch.from_numpy(noise.latents(SEED, 0, _IMAGES, network.latent_size))[:, :, None, None]
    with torch.inference_mode():
        for layer in network.hidden:
            x = torch.cat([torch.relu(layer(batch)) for batch in torch.split(x, _BATCH)])
            scales.append(best_scale(x))
    return scales


def best_scale(values: Tensor) -> float:
    """The step that rounds values, 0 or more, with the least mean square error."""
    most = max(float(values.max()), 1e-6)
    counts = torch.histc(values, _BINS, 0.0, most).double()
    centres = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (most / _BINS)
    steps = torch.linspace(0.2, 1.0, _CANDIDATES, dtype=torch.float64) * (most / _LEVELS)
    rounded = (centres / steps[:, None]).round().clamp(0, _LEVELS) * steps[:, None]  # [candidates, bins]
    errors = (counts * (rounded - centres) ** 2).sum(dim=1)
    return float(torch.tensor(float(steps[errors.argmin()]), dtype=torch.float32))  # as the graph will hold it
