"""The steps of 8 bits for int8, from the noise distribution itself.

Every image ever asked for comes from the same standard normals, so that any sample of them is exact calibration data:
there is no data set to choose, and nothing to be unlike it later.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dcgan.core import noise
from dcgan.export.graph.builder import Steps
from dcgan.export.graph.fold import Folded
from dcgan.export.int8.plan import Int8Plan

SEED = 2**32
"""Far from the seeds that people type, and from those on which quality is measured."""

_IMAGES, _BATCH = 512, 64
_BINS, _CANDIDATES = 4096, 64
_LEVELS = 255
_MIDDLE = 128


def calibrate(network: Folded) -> Int8Plan:
    """The steps with which every convolution but the first runs in int8.

    Each has the least mean square error over the calibration images: a smaller step rounds more finely and cuts off
    more of the tail.
    """
    x = torch.from_numpy(noise.latents(SEED, 0, _IMAGES, network.latent_size))[:, :, None, None]
    label = torch.from_numpy(noise.labels(0, _IMAGES, network.classes)) if network.classes else None
    activations, outputs = [], []
    with torch.inference_mode():
        for i, layer in enumerate(network.hidden):
            output = _in_batches(layer, x) if network.classes else None
            x = _activations(network, i, x, label)
            activations.append(best_steps(x))
            outputs.append(activations[-1] if output is None else best_steps(output, zero=_MIDDLE))
        head = best_steps(_in_batches(network.head, x), zero=_MIDDLE, bend=torch.tanh)
    return Int8Plan(
        activations=tuple(activations),
        outputs=tuple(outputs),
        head=head,
        affine=bool(network.classes),
    )


def best_steps(
    values: Tensor, *, zero: int = 0, bend: Callable[[Tensor], Tensor] | None = None
) -> Steps:
    """The steps that round values with the least mean square error.

    Args:
        values: any number of them; 0 or more where `zero` is 0.
        zero: the step that stands for 0.
        bend: what is done to the values next, after which the error counts.
    """
    bend = bend or (lambda values: values)
    least, most = (float(bound) for bound in torch.aminmax(values))
    reach = max(
        most / (_LEVELS - zero), -least / zero if zero else 0.0, 1e-9
    )  # the step that cuts off nothing
    low, high = min(least, 0.0), max(most, 1e-6)
    counts = torch.histc(values, _BINS, low, high).double()
    centres = low + (torch.arange(_BINS, dtype=torch.float64) + 0.5) * ((high - low) / _BINS)
    sizes = torch.linspace(0.2, 1.0, _CANDIDATES, dtype=torch.float64) * reach
    steps = (centres / sizes[:, None]).round().clamp(-zero, _LEVELS - zero)  # [candidates, bins]
    errors = (counts * (bend(steps * sizes[:, None]) - bend(centres)) ** 2).sum(dim=1)
    return Steps(
        float(torch.tensor(float(sizes[errors.argmin()]), dtype=torch.float32)), zero
    )  # as the graph holds it


def _activations(network: Folded, i: int, x: Tensor, label: Tensor | None) -> Tensor:
    labels = [None] * len(x) if label is None else torch.split(label, _BATCH)
    return torch.cat(
        [network.activation(i, *pair) for pair in zip(torch.split(x, _BATCH), labels, strict=False)]
    )


def _in_batches(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([layer(batch) for batch in torch.split(x, _BATCH)])
