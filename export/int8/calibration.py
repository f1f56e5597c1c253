"""Calibration: quantization parameters of the activations, from the noise distribution itself.

Every image that will be generated comes from standard normals, so any sample of them is exact
calibration data: there is no calibration set to choose and none that could be unrepresentative.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dcgan.core import noise
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.quantization import Int8Plan, QuantizationParams

SEED = 2**32
"""Seed of the calibration noise: far from the seeds on which quality is measured."""

_IMAGES = 512
_BATCH = 64
_BINS = 4096
_CANDIDATES = 64
_MAX_LEVEL = 255  # of uint8
_MIDDLE = 128


def calibrate(network: FoldedGenerator) -> Int8Plan:
    """Returns a plan in which every convolution but the first runs in int8.

    Each scale has the least mean square error over the calibration images: a smaller scale rounds
    more finely and clips more of the tail.
    """
    x = torch.from_numpy(noise.latents(SEED, 0, _IMAGES, network.latent_size))[:, :, None, None]
    label = torch.from_numpy(noise.labels(0, _IMAGES, network.classes)) if network.classes else None
    activations = []
    outputs = []

    with torch.inference_mode():
        for i, layer in enumerate(network.hidden):
            # With classes, the output before scale and shift is quantized as well.
            output = _in_batches(layer, x) if network.classes else None
            x = _activations(network, i, x, label)
            activations.append(best_params(x))
            if output is None:
                outputs.append(activations[-1])
            else:
                outputs.append(best_params(output, zero_point=_MIDDLE))
        head_output = _in_batches(network.head, x)
        head = best_params(head_output, zero_point=_MIDDLE, nonlinearity=torch.tanh)

    return Int8Plan(
        activations=tuple(activations),
        outputs=tuple(outputs),
        head=head,
        affine=bool(network.classes),
    )


def best_params(
    values: Tensor, *, zero_point: int = 0, nonlinearity: Callable[[Tensor], Tensor] | None = None
) -> QuantizationParams:
    """Returns the parameters that quantize values with the least mean square error.

    Args:
        values: any number of them; 0 or more where `zero_point` is 0.
        zero_point: the level that stands for 0.
        nonlinearity: applied to the values next; the error is counted after it.
    """
    apply = nonlinearity or (lambda values: values)
    lowest, highest = (float(bound) for bound in torch.aminmax(values))

    # The candidates are fractions of the scale that clips nothing.
    above = highest / (_MAX_LEVEL - zero_point)
    below = -lowest / zero_point if zero_point else 0.0
    full_scale = max(above, below, 1e-9)
    scales = torch.linspace(0.2, 1.0, _CANDIDATES, dtype=torch.float64) * full_scale

    # Count the values in a histogram.
    low = min(lowest, 0.0)
    high = max(highest, 1e-6)
    counts = torch.histc(values, _BINS, low, high).double()
    centres = low + (torch.arange(_BINS, dtype=torch.float64) + 0.5) * ((high - low) / _BINS)

    # Quantize the bin centres with each candidate.
    levels = (centres / scales[:, None]).round().clamp(-zero_point, _MAX_LEVEL - zero_point)
    difference = apply(levels * scales[:, None]) - apply(centres)  # [candidates, bins]
    errors = (counts * difference**2).sum(dim=1)

    best = float(scales[errors.argmin()])
    as_float32 = float(torch.tensor(best, dtype=torch.float32))  # as the graph stores it
    return QuantizationParams(as_float32, zero_point)


def _activations(network: FoldedGenerator, i: int, x: Tensor, label: Tensor | None) -> Tensor:
    batches = torch.split(x, _BATCH)
    labels = [None] * len(batches) if label is None else torch.split(label, _BATCH)
    return torch.cat(
        [network.activation(i, batch, label) for batch, label in zip(batches, labels, strict=True)]
    )


def _in_batches(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([layer(batch) for batch in torch.split(x, _BATCH)])
