"""The float16 graph: for CUDA, with a gate of its own; the CPU runs it with casts."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from dcgan.core.onnx_session import CPU, CUDA, available_providers
from dcgan.export.errors import FloatMismatchError, QualityError, WeightMismatchError
from dcgan.export.graph.fold import fold, round_to_half
from dcgan.export.graph.onnx_graph import PLAIN, build_graph, write_graph
from dcgan.export.pipeline import Options, export
from dcgan.export.verify.backends import EagerRunner, OnnxRunner
from dcgan.export.verify.parity import judge, measure, measure_quality, run_probes
from dcgan.export.verify.tolerances import LIMITS
from dcgan.export.verify.weight_check import check_graph_weights


def written(network, path):
    rounded = round_to_half(network)
    write_graph(
        build_graph(rounded, facts="{}", half_weights=True, form=PLAIN, half_arithmetic=True), path
    )
    return path


def verdict(runner, network):
    source = EagerRunner(network, "released network")
    limits = LIMITS["fp16", runner.provider]
    distance = measure(runner, run_probes(runner, 10), run_probes(source, 10), limits)
    return {
        type(e)
        for e in judge(dataclasses.replace(distance, quality=measure_quality(runner, source, 10)))
    }


def test_everything_from_z_to_the_last_convolution_is_float16_and_the_tail_float32(
    generator, tmp_path
):
    model = onnx.shape_inference.infer_shapes(
        onnx.load(written(fold(generator), tmp_path / "g.onnx"))
    )
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type in ("ConvTranspose", "Relu"):
            assert kinds[node.output[0]] == TensorProto.FLOAT16, node.name
        if node.op_type in ("Tanh", "Add", "Mul", "Round"):
            assert kinds[node.output[0]] == TensorProto.FLOAT, node.name
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_a_float16_graph_is_half_the_size_and_passes_its_gate(generator, tmp_path):
    network = fold(generator)
    path = written(network, tmp_path / "g.onnx")
    write_graph(
        build_graph(network, facts="{}", half_weights=False, form=PLAIN), tmp_path / "whole.onnx"
    )
    assert path.stat().st_size < 0.6 * (tmp_path / "whole.onnx").stat().st_size
    assert verdict(OnnxRunner(path, "fp16", CPU), network) == set()


def test_a_float16_graph_of_another_network_fails_its_gate(generator, make_generator, tmp_path):
    other = make_generator()
    other.head.weight.data.mul_(1.2)
    runner = OnnxRunner(written(fold(generator), tmp_path / "g.onnx"), "fp16", CPU)
    assert {FloatMismatchError, QualityError} <= verdict(runner, fold(other))


def test_its_weights_are_those_of_the_network_rounded_once(generator, tmp_path):
    network = fold(generator)
    path = written(network, tmp_path / "g.onnx")
    check_graph_weights(path, round_to_half(network))
    model = onnx.load(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "hidden.1.weight"]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[3] = np.nextafter(array.flat[3], np.float16(9))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    write_graph(model, path)
    with pytest.raises(WeightMismatchError, match=r"hidden\.1\.weight"):
        check_graph_weights(path, round_to_half(network))


def test_a_release_with_float16_holds_its_verdict_and_thresholds(run, folder):
    release = export(
        run, folder, Options(name="small", version=1, formats=("onnx",), fp16=True), lambda _: None
    )
    release.verify()
    assert release.manifest.file("onnx", "fp16").path == "generator.fp16.onnx"
    verdicts = {(each.path, each.provider): each for each in release.manifest.parity}
    verdict = verdicts["generator.fp16.onnx", CPU]
    assert verdict.psnr > verdict.thresholds.psnr == 50.0
    report = json.loads((release.folder / "parity.json").read_text())
    (distance,) = [
        each
        for each in report["distances"]
        if (each["precision"], each["provider"]) == ("fp16", CPU)
    ]
    assert "no float16 kernels" in distance["limits"]["reason"]


@pytest.mark.skipif(
    CUDA not in available_providers(),
    reason="needs a GPU: float16 arithmetic itself was not measured",
)
def test_a_float16_graph_passes_its_gate_on_cuda(generator, tmp_path):
    network = fold(generator)
    assert (
        verdict(OnnxRunner(written(network, tmp_path / "g.onnx"), "fp16", CUDA), network) == set()
    )


def test_the_cpu_has_no_float16_kernel_for_a_transposed_convolution(generator, tmp_path):
    """What the reason of its limits says; when this fails, the CPU computes in float16 and the limits want a look."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(written(fold(generator), tmp_path / "g.onnx"), options, providers=[CPU])
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "optimized.onnx"))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    convolutions = [node for node in model.graph.node if node.op_type == "ConvTranspose"]
    assert convolutions
    assert {kinds[node.output[0]] for node in convolutions} == {TensorProto.FLOAT}
