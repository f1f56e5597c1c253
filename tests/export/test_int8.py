"""Int8: steps that suit the activations, a graph that keeps them, and a gate of its own."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from dcgan.core.onnx_session import CPU
from dcgan.export.errors import LevelMismatchError, QualityError
from dcgan.export.graph.builder import GraphBuilder, Steps
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_graph, write_graph
from dcgan.export.int8.calibration import best_steps, calibrate
from dcgan.export.int8.search import find_plan, good_enough, search
from dcgan.export.pipeline import Options, export
from dcgan.export.verify.backends import EagerRunner, OnnxRunner
from dcgan.export.verify.parity import Quality, judge, measure, measure_quality, run_probes
from dcgan.export.verify.tolerances import LIMITS


@pytest.fixture
def calm(make_generator):
    """A folded network whose images have little contrast."""
    return fold(make_generator(width=4))


def test_values_of_equal_size_get_the_step_that_fits_them():
    values = torch.linspace(0.0, 51.0, 100_000)
    assert best_steps(values).size == pytest.approx(51.0 / 255, rel=0.02)


def test_a_rare_large_value_does_not_coarsen_all_others():
    values = torch.cat([torch.linspace(0.0, 1.0, 1_000_000), torch.tensor([4.0])])
    assert best_steps(values).size < 2.0 / 255


def test_there_is_one_step_for_each_hidden_layer_and_always_the_same(calm):
    plan = calibrate(calm)
    assert len(plan.activations) == len(calm.hidden)
    assert min(steps.size for steps in plan.activations) > 0
    assert plan == calibrate(calm)


def test_a_dead_layer_has_a_step_too(calm):
    calm.hidden[1].weight.zero_()
    calm.hidden[1].bias.fill_(-1.0)
    assert min(steps.size for steps in calibrate(calm).activations) > 0


def test_weights_are_stored_in_steps_of_each_output_channel():
    weight = np.array([[[[1.0, -2.54]]], [[[0.0254, 0.01]]]], dtype=np.float32)
    graph = GraphBuilder(half_weights=False)
    graph.quantized_weight("w", weight, np.array([0.02, 0.0002], dtype=np.float32))
    stored = onnx.numpy_helper.to_array(graph.initializers["w.steps"])
    assert stored.dtype == np.int8
    assert stored.ravel().tolist() == [50, -127, 127, 50]


def int8_runner(network, plan, path):
    write_graph(build_graph(network, facts="{}", half_weights=False, plan=plan), path)
    return OnnxRunner(path, "int8", CPU)


def verdict(runner, network):
    source = EagerRunner(network, "released network")
    limits = LIMITS["int8", CPU]
    distance = measure(runner, run_probes(runner, 10), run_probes(source, 10), limits)
    return {
        type(e)
        for e in judge(dataclasses.replace(distance, quality=measure_quality(runner, source, 10)))
    }


def test_a_calibrated_graph_passes_its_gate(calm, tmp_path):
    assert verdict(int8_runner(calm, calibrate(calm), tmp_path / "g.onnx"), calm) == set()


def test_steps_that_do_not_fit_fail_the_gate(generator, tmp_path):
    network = fold(generator)
    network.head.weight.mul_(20.0)  # black and white, where rounding shows most
    plan = calibrate(network)
    coarse = tuple(Steps(64 * steps.size) for steps in plan.activations)
    plan = dataclasses.replace(plan, activations=coarse, outputs=coarse)
    assert QualityError in verdict(int8_runner(network, plan, tmp_path / "g.onnx"), network)


def test_one_image_that_is_far_off_fails_the_gate(calm, tmp_path):
    runner = int8_runner(calm, calibrate(calm), tmp_path / "g.onnx")
    outputs = run_probes(runner, 10)
    distance = measure(runner, outputs, outputs, LIMITS["int8", CPU])
    for levels, kinds in ((64, []), (65, [LevelMismatchError])):
        quality = Quality(images=4096, psnr=60.0, max_levels=levels)
        assert [
            type(error) for error in judge(dataclasses.replace(distance, quality=quality))
        ] == kinds


def test_a_quality_that_was_not_measured_fails_the_gate(calm, tmp_path):
    runner = int8_runner(calm, calibrate(calm), tmp_path / "g.onnx")
    outputs = run_probes(runner, 10)
    errors = judge(measure(runner, outputs, outputs, LIMITS["int8", CPU]))
    assert [type(error) for error in errors] == [QualityError]


def test_an_int8_graph_of_another_network_fails_the_gate(calm, generator, tmp_path):
    runner = int8_runner(fold(generator), calibrate(fold(generator)), tmp_path / "g.onnx")
    swapped = fold(generator)
    swapped.head.weight.copy_(swapped.head.weight[:, [2, 1, 0]])
    assert QualityError in verdict(runner, swapped)


def optimised(path):
    """The operators that ONNX Runtime makes of a file."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    options.log_severity_level = 3  # it warns that an optimised file belongs to one machine
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(path, options, providers=[CPU])
    return [node.op_type for node in onnx.load(path.with_name("optimized.onnx")).graph.node]


def test_onnx_runtime_computes_the_convolutions_in_int8(calm, tmp_path):
    int8_runner(calm, calibrate(calm), tmp_path / "g.onnx")
    operators = optimised(tmp_path / "g.onnx")
    assert operators.count("QLinearConv") == 4 * (len(calm.hidden) - 1) + 1
    assert operators.count("Conv") + operators.count("FusedConv") == 0


def test_the_search_leaves_in_float_what_helps_most_and_no_more(calm):
    plan = calibrate(calm)
    worth = {"hidden.1": 1.0, "hidden.2": 6.0, "head": 3.0}

    def measure(candidate):
        return Quality(
            images=512, psnr=30.0 + sum(worth[name] for name in candidate.floats), max_levels=20
        )

    def found(decibels):
        return search(plan, measure, lambda quality: quality.psnr >= decibels)

    assert found(29.0) == plan
    assert found(35.5).floats == {"hidden.2"}
    assert found(38.0).floats == {"hidden.2", "head"}
    assert found(99.0).floats == {"hidden.2", "head"}  # one stays, for the gate to refuse


@pytest.mark.parametrize(
    ("psnr", "levels", "enough"), [(38.5, 48, True), (38.4, 1, False), (60.0, 49, False)]
)
def test_the_search_wants_some_room_below_the_limits_of_the_gate(psnr, levels, enough):
    assert good_enough(Quality(images=512, psnr=psnr, max_levels=levels)) is enough


@pytest.mark.parametrize(
    "floats", [{"head"}, {"hidden.1"}, {"hidden.2"}, {"hidden.1", "head"}, {"hidden.1", "hidden.2"}]
)
@pytest.mark.parametrize("classes", [0, 3])
def test_any_layer_can_stay_in_float(make_generator, tmp_path, floats, classes):
    network = fold(make_generator(width=4, classes=classes))
    plan = dataclasses.replace(calibrate(network), floats=frozenset(floats))
    runner = int8_runner(network, plan, tmp_path / "g.onnx")
    quality = measure_quality(runner, EagerRunner(network, "released network"), 10, classes)
    assert 38 < quality.psnr < 100
    operators = optimised(tmp_path / "g.onnx")
    assert operators.count("QLinearConv") == 4 * (2 - len(floats - {"head"})) + (
        "head" not in floats
    )


def test_a_network_with_contrast_that_int8_cannot_draw_keeps_layers_in_float(make_generator):
    network = fold(make_generator())
    network.head.weight.mul_(1000.0)
    assert find_plan(network).floats


def test_a_release_with_int8_says_how_good_it_is(run, folder, make_generator):
    options = Options(name="small", version=1, formats=("onnx",), int8=True)
    release = export(
        dataclasses.replace(run, generator=make_generator(width=4)), folder, options, lambda _: None
    )
    release.verify()
    file = release.manifest.file("onnx", "int8")
    assert file.path == "generator.int8.onnx"
    assert {digest.path for digest in release.manifest.golden.digests} == {
        "generator.onnx",
        "generator.int8.onnx",
    }
    report = json.loads((release.folder / "parity.json").read_text())
    (quality,) = [
        distance["quality"] for distance in report["distances"] if distance["file"] == file.path
    ]
    assert quality["images"] == 4096
    (verdict,) = [each for each in release.manifest.parity if each.path == file.path]
    assert (verdict.psnr, verdict.quality_levels) == (quality["psnr"], quality["max_levels"])
    assert (verdict.thresholds.psnr, verdict.thresholds.quality_levels) == (38.0, 64)
    assert 38 < quality["psnr"] < 100
    assert " dB" in (release.folder / "README.md").read_text()
