"""Finds out how much of a network can run in int8 before its images suffer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from dcgan.core import noise
from dcgan.core.onnx_session import CPU
from dcgan.export.graph.fold import Folded
from dcgan.export.graph.onnx_graph import build_graph
from dcgan.export.int8.calibration import SEED, calibrate
from dcgan.export.int8.plan import Int8Plan
from dcgan.export.verify.backends import Batch, EagerRunner, open_session
from dcgan.export.verify.parity import Quality, compare_quality
from dcgan.export.verify.tolerances import LIMITS

_IMAGES, _BATCH = 512, 64
_ROOM_DB, _ROOM_LEVELS = 0.5, 16
"""How much better than the limits of the gate, which measures other images."""


def find_plan(network: Folded) -> Int8Plan:
    """Calibrates a network, and leaves in float32 whatever keeps its images from being good enough."""
    batches = [
        _batch(network, offset) for offset in range(_IMAGES, 2 * _IMAGES, _BATCH)
    ]  # not those of calibration
    source = EagerRunner(network, "released network")
    with torch.inference_mode():
        expected = np.concatenate([source(batch).images for batch in batches])

    def measure(plan: Int8Plan) -> Quality:
        model = build_graph(network, facts="{}", half_weights=False, plan=plan).SerializeToString()
        session = open_session(model, CPU, "a graph in int8")
        return compare_quality(
            np.concatenate([session.run(["images"], batch.feeds)[0] for batch in batches]), expected
        )

    return search(calibrate(network), measure, good_enough)


def search(
    plan: Int8Plan, measure: Callable[[Int8Plan], Quality], enough: Callable[[Quality], bool]
) -> Int8Plan:
    """Leaves convolutions in float32, one after another, each time the one that helps most, until the images are good.

    Args:
        plan: where to begin.
        measure: how good the images of a plan are.
        enough: whether that will do. If nothing will, the best plan with a convolution in int8 is returned, and the
            gate will say so.
    """
    while not enough(measure(plan)):
        left = [name for name in plan.names if plan.is_int8(name)]
        if len(left) == 1:
            break
        further = (dataclasses.replace(plan, floats=plan.floats | {name}) for name in left)
        plan = max(further, key=lambda candidate: measure(candidate).psnr)
    return plan


def good_enough(quality: Quality) -> bool:
    """Whether images in int8 are within the limits of their gate, and some way from them."""
    limits = LIMITS["int8", CPU]
    loud = quality.psnr >= (limits.min_psnr or 0.0) + _ROOM_DB
    return (
        loud and quality.max_levels <= (limits.quality_levels or limits.max_levels) - _ROOM_LEVELS
    )


def _batch(network: Folded, offset: int) -> Batch:
    labels = noise.labels(offset, _BATCH, network.classes) if network.classes else None
    return Batch(noise.latents(SEED, offset, _BATCH, network.latent_size), labels)
