"""The search for the int8 plan: which convolutions can run in int8 at good image quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from dcgan.core.onnx_session import CPU
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.graph.quantization import Int8Plan
from dcgan.export.int8.calibration import SEED, calibrate
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.inputs import seed_inputs
from dcgan.export.verify.quality import Quality, compare_quality
from dcgan.export.verify.session import open_session
from dcgan.export.verify.tolerances import TOLERANCES

_IMAGES = 512
_BATCH = 64

# The gate measures other images, so the search keeps this far from its tolerances.
_MARGIN_DB = 0.5
_MARGIN_LEVELS = 16


def find_plan(network: FoldedGenerator) -> Int8Plan:
    """Calibrates a network, and leaves in float32 the convolutions that need it for quality."""
    # Use images that were not used for calibration.
    shape = {"latent_size": network.latent_size, "classes": network.classes}
    batches = [
        seed_inputs(SEED, offset, _BATCH, **shape) for offset in range(_IMAGES, 2 * _IMAGES, _BATCH)
    ]
    eager = EagerBackend(network, "released network")
    expected = np.concatenate([eager(inputs).images for inputs in batches])

    def measure(plan: Int8Plan) -> Quality:
        model = build_onnx(network, plan=plan).SerializeToString()
        session = open_session(model, CPU, "a graph in int8")
        images = [session.run(["images"], inputs.feeds)[0] for inputs in batches]
        return compare_quality(np.concatenate(images), expected)

    return search(calibrate(network), measure, is_good_enough)


def search(
    plan: Int8Plan, measure: Callable[[Int8Plan], Quality], accept: Callable[[Quality], bool]
) -> Int8Plan:
    """Moves convolutions to float32 until quality is accepted, each time the one that helps most.

    Args:
        plan: the first to try.
        measure: returns the image quality of a plan.
        accept: whether a quality will do. If none will, the best plan with one int8 convolution is
            returned, and the parity gate will fail it.
    """
    while not accept(measure(plan)):
        int8_names = [name for name in plan.names if plan.is_int8(name)]
        if len(int8_names) == 1:
            break
        candidates = [dataclasses.replace(plan, floats=plan.floats | {name}) for name in int8_names]
        plan = max(candidates, key=lambda candidate: measure(candidate).psnr)
    return plan


def is_good_enough(quality: Quality) -> bool:
    """Returns whether int8 images are within the tolerances of the parity gate, with a margin."""
    tolerances = TOLERANCES["int8", CPU]
    min_psnr = (tolerances.min_psnr or 0.0) + _MARGIN_DB
    max_levels = (tolerances.quality_levels or tolerances.max_levels) - _MARGIN_LEVELS
    return quality.psnr >= min_psnr and quality.max_levels <= max_levels
