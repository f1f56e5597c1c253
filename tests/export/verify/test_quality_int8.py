"""The gate of an int8 file: image quality."""

import dataclasses

import pytest

from dcgan.core.onnx_session import CPU
from dcgan.export.errors import LevelMismatchError, QualityError
from dcgan.export.graph.fold import fold
from dcgan.export.graph.quantization import QuantizationParams
from dcgan.export.int8.calibration import calibrate
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.quality import Quality, measure_quality
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.export.verify.verdict import judge
from tests.export.onnx_files import int8_backend

pytestmark = pytest.mark.slow


def verdict(backend, network):
    source = EagerBackend(network, "released network")
    limits = TOLERANCES["int8", CPU]
    distance = measure(backend, run_probes(backend, 10), run_probes(source, 10), limits)
    (quality,) = measure_quality([backend], source, 10)
    return {type(e) for e in judge(dataclasses.replace(distance, quality=quality))}


def test_a_calibrated_graph_passes_its_gate(calm, tmp_path):
    assert verdict(int8_backend(calm, calibrate(calm), tmp_path / "g.onnx"), calm) == set()


def test_steps_that_do_not_fit_fail_the_gate(generator, tmp_path):
    network = fold(generator)
    network.head.weight.mul_(20.0)  # black and white, where rounding shows most
    plan = calibrate(network)
    coarse = tuple(QuantizationParams(64 * steps.scale) for steps in plan.activations)
    plan = dataclasses.replace(plan, activations=coarse, outputs=coarse)
    assert QualityError in verdict(int8_backend(network, plan, tmp_path / "g.onnx"), network)


def test_one_image_that_is_far_off_fails_the_gate(calm, tmp_path):
    backend = int8_backend(calm, calibrate(calm), tmp_path / "g.onnx")
    outputs = run_probes(backend, 10)
    distance = measure(backend, outputs, outputs, TOLERANCES["int8", CPU])
    for levels, kinds in ((64, []), (65, [LevelMismatchError])):
        quality = Quality(images=4096, psnr=60.0, max_levels=levels)
        assert [
            type(error) for error in judge(dataclasses.replace(distance, quality=quality))
        ] == kinds


def test_a_quality_that_was_not_measured_fails_the_gate(calm, tmp_path):
    backend = int8_backend(calm, calibrate(calm), tmp_path / "g.onnx")
    outputs = run_probes(backend, 10)
    errors = judge(measure(backend, outputs, outputs, TOLERANCES["int8", CPU]))
    assert [type(error) for error in errors] == [QualityError]


def test_an_int8_graph_of_another_network_fails_the_gate(calm, generator, tmp_path):
    backend = int8_backend(fold(generator), calibrate(fold(generator)), tmp_path / "g.onnx")
    swapped = fold(generator)
    swapped.head.weight.copy_(swapped.head.weight[:, [2, 1, 0]])
    assert QualityError in verdict(backend, swapped)
