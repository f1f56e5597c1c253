"""Finds out how much of a network can run in int8 before its images suffer."""

from __future__ import annotations

import numpy as np
import torch

from dcgan.export.calibrate import SEED, calibrate, search
from dcgan.export.fold import Folded
from dcgan.export.int8_plan import Int8Plan
from dcgan.export.limits import LIMITS
from dcgan.export.onnx_graph import build_graph
from dcgan.export.parity import psnr
from dcgan.export.runners import CPU, Batch, EagerRunner, open_session
from dcgan.zoo import noise

_IMAGES, _BATCH = 512, 64
_MARGIN = 0.5
"""Decibels above the limit of the gate, which measures other images."""


def find_plan(network: Folded) -> Int8Plan:
    """Calibrates a network, and leaves in float32 whatever keeps its images from being good enough."""
    enough = (LIMITS["int8", CPU].min_psnr or 0.0) + _MARGIN
    batches = [_batch(network, offset) for offset in range(_IMAGES, 2 * _IMAGES, _BATCH)]  # not those of calibration
    source = EagerRunner(network, "released network")
    with torch.inference_mode():
        expected = np.concatenate([source(batch).images for batch in batches])

    def measure(plan: Int8Plan) -> float:
        model = build_graph(network, facts="{}", half_weights=False, plan=plan).SerializeToString()
        session = open_session(model, CPU, "a graph in int8")
        return psnr(np.concatenate([session.run(["images"], batch.feeds)[0] for batch in batches]), expected)

    return search(calibrate(network), measure, enough)


def _batch(network: Folded, offset: int) -> Batch:
    labels = noise.labels(offset, _BATCH, network.classes) if network.classes else None
    return Batch(noise.latents(SEED, offset, _BATCH, network.latent_size), labels)
