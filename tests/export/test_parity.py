"""The gate passes what is the same function, and fails everything else, each with an error of its own."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from dcgan.core.onnx_session import CPU
from dcgan.export.errors import (
    BatchDependenceError,
    FailedRunError,
    FloatMismatchError,
    InvalidGraphError,
    LevelMismatchError,
    StaticBatchError,
    UnfoldedNormError,
    WrongInterfaceError,
    WrongProviderError,
)
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_graph, write_graph
from dcgan.export.graph.postprocess import Served
from dcgan.export.verify import parity
from dcgan.export.verify.backends import EagerRunner, OnnxRunner, Output, TorchScriptRunner
from dcgan.export.verify.gate import prove
from dcgan.export.verify.parity import judge, measure, probes, run_probes
from dcgan.export.verify.structure import check_structure
from dcgan.export.verify.tolerances import LIMITS
from dcgan.zoo.manifest import Tensor

INPUTS = (Tensor(name="z", dtype="float32", shape=("batch", 10)),)
OUTPUTS = (Tensor(name="images", dtype="uint8", shape=("batch", 32, 32, 3)),)


@pytest.fixture(scope="module")
def reference(generator):
    return run_probes(EagerRunner(generator, "trained network", double=True), 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "generator.onnx"


def written(network, path):
    write_graph(build_graph(network, facts="{}", half_weights=False), path)
    return OnnxRunner(path, "fp32", CPU)


def failures(runner, reference):
    limits = LIMITS[runner.precision, runner.provider]
    return {
        type(error) for error in judge(measure(runner, run_probes(runner, 10), reference, limits))
    }


def edited(path, network, edit):
    """Writes a graph, lets `edit` change it, and writes it again."""
    model = build_graph(network, facts="{}", half_weights=False)
    edit(model.graph)
    write_graph(model, path)
    return path


def test_the_same_function_passes(generator, reference, path):
    assert failures(written(fold(generator), path), reference) == set()


def test_the_probes_hold_every_batch_zeros_and_a_wide_one():
    batches = probes(10)
    assert {len(batch.z) for batch in batches} == {1, 2, 3, 7, 32, 64}
    assert any((batch.z == 0).all() for batch in batches)
    assert {4.0, 8.0} <= {np.abs(batch.z).max() for batch in batches}
    assert all(batch.label is None for batch in batches)


@pytest.mark.parametrize("layer", range(4))
def test_one_weight_changed_by_one_percent_fails(generator, reference, path, layer):
    network = fold(generator)
    weight = network.layers[layer].weight
    largest = np.unravel_index(int(weight.abs().argmax()), weight.shape)
    weight[largest] *= 1.01
    assert FloatMismatchError in failures(written(network, path), reference)


def test_swapped_colours_fail(generator, reference, path):
    network = fold(generator)
    network.head.weight.copy_(network.head.weight[:, [2, 1, 0]])
    assert failures(written(network, path), reference) == {FloatMismatchError, LevelMismatchError}


def test_swapped_height_and_width_fail(generator, reference, path):
    network = fold(generator)
    for layer in network.layers:
        layer.weight.copy_(layer.weight.transpose(2, 3).clone())
    assert failures(written(network, path), reference) == {FloatMismatchError, LevelMismatchError}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_batch_normalisation_left_in_training_mode_fails(make_generator, reference, tmp_path):
    generator = make_generator()
    for layer in generator.hidden:
        layer.norm.train()
    write_torchscript(Served(generator), tmp_path / "generator.ts", latent_size=10, facts="{}")
    runner = TorchScriptRunner(tmp_path / "generator.ts")
    assert failures(runner, reference) == {
        BatchDependenceError,
        FloatMismatchError,
        LevelMismatchError,
    }


def test_nan_fails(generator, reference):
    runner = EagerRunner(generator, "trained network")
    poisoned = [replace(output, floats=np.full_like(output.floats, np.nan)) for output in reference]
    distance = measure(runner, poisoned, reference, LIMITS["fp32", "PyTorch"])
    assert [type(error) for error in judge(distance)] == [FloatMismatchError]


def test_an_image_that_depends_on_its_batch_fails(generator, reference, path):
    def normalise_over_the_batch(graph):
        mean = helper.make_node("ReduceMean", ["z"], ["mean"], keepdims=1, axes=[0])
        del mean.attribute[:]
        mean.input.append("zeroth")
        graph.initializer.append(numpy_helper.from_array(np.array([0]), "zeroth"))
        shifted = helper.make_node("Sub", ["z", "mean"], ["centred"])
        graph.node[0].input[0] = "centred"
        for node in (shifted, mean):
            graph.node.insert(0, node)

    edited(path, fold(generator), normalise_over_the_batch)
    assert BatchDependenceError in failures(OnnxRunner(path, "fp32", CPU), reference)


def test_one_changed_byte_in_one_batch_size_is_batch_dependence(generator, path):
    runner = written(fold(generator), path)
    outputs = run_probes(runner, 10)
    images = outputs[4].images.copy()  # seed 0 in a batch of 32
    images[31, 0, 0, 0] ^= 1
    changed = [*outputs[:4], Output(images, outputs[4].floats), *outputs[5:]]
    assert measure(runner, outputs, outputs).batch_invariant
    assert not measure(runner, changed, outputs).batch_invariant


def test_a_static_batch_axis_fails(generator, path):
    edited(path, fold(generator), lambda graph: _set_batch(graph.input[0], 8))
    with pytest.raises(StaticBatchError, match="batches of 8"):
        check_structure(path, INPUTS, OUTPUTS)


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_renamed_axis_fails(generator, path, side):
    edited(path, fold(generator), lambda graph: _set_symbol(getattr(graph, side)[0], "n"))
    with pytest.raises(WrongInterfaceError, match=side):
        check_structure(path, INPUTS, OUTPUTS)


def test_a_renamed_input_fails(generator, path):
    def rename(graph):
        graph.input[0].name = graph.node[0].input[0] = "noise"

    edited(path, fold(generator), rename)
    with pytest.raises(WrongInterfaceError, match="noise float32"):
        check_structure(path, INPUTS, OUTPUTS)


def test_another_output_type_fails(generator, path):
    def stay_float(graph):
        (cast,) = [node for node in graph.node if node.op_type == "Cast"]
        cast.op_type = "Identity"
        del cast.attribute[:]
        graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT

    edited(path, fold(generator), stay_float)
    with pytest.raises(WrongInterfaceError, match="images float32"):
        check_structure(path, INPUTS, OUTPUTS)


def test_batch_normalisation_in_the_graph_fails(generator, path):
    def normalise(graph):
        for name in ("scale", "shift", "mean", "variance"):
            graph.initializer.append(numpy_helper.from_array(np.ones(12, np.float32), name))
        node = helper.make_node(
            "BatchNormalization",
            ["head.conv", "scale", "shift", "mean", "variance"],
            ["normed"],
            name="late",
        )
        tanh = next(i for i, node in enumerate(graph.node) if node.op_type == "Tanh")
        graph.node[tanh].input[0] = "normed"
        graph.node.insert(tanh, node)

    edited(path, fold(generator), normalise)
    with pytest.raises(UnfoldedNormError, match="late"):
        check_structure(path, INPUTS, OUTPUTS)


def test_a_foreign_operator_fails(generator, path):
    model = build_graph(fold(generator), facts="{}", half_weights=False)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    write_graph(model, path)
    with pytest.raises(InvalidGraphError, match=r"com\.example"):
        check_structure(path, INPUTS, OUTPUTS)


@pytest.mark.parametrize("damage", ["truncated", "not protobuf", "dangling input"])
def test_an_invalid_file_fails(generator, path, damage):
    edited(path, fold(generator), lambda graph: None)
    data = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "not protobuf":
        path.write_bytes(b"\xff" * 100)
    else:
        edited(path, fold(generator), lambda graph: graph.node[3].input.__setitem__(0, "nowhere"))
    with pytest.raises(InvalidGraphError, match=r"generator\.onnx"):
        check_structure(path, INPUTS, OUTPUTS)


def test_a_file_that_fails_on_some_batch_is_named_with_it(generator, path):
    def fix_inside(graph):
        (shape,) = [t for t in graph.initializer if t.name == "ints_-1_4_4_32"]
        shape.CopyFrom(numpy_helper.from_array(np.array([2, 4, 4, 32]), shape.name))

    edited(path, fold(generator), fix_inside)
    runner = OnnxRunner(path, "fp32", CPU)
    with pytest.raises(FailedRunError, match=r"generator\.onnx fails on a batch of 1"):
        run_probes(runner, 10)


def test_images_of_another_shape_are_not_compared(generator, reference):
    outputs = [Output(output.images[:1], output.floats[:1]) for output in reference]
    with pytest.raises(FailedRunError, match="gives images"):
        measure(EagerRunner(generator, "a network"), outputs, reference)


def test_a_right_network_of_full_width_passes(make_generator, monkeypatch):
    monkeypatch.setattr(parity, "BATCHES", (1, 2, 7))  # enough to see the error of long sums
    trained = make_generator(image_size=64, latent_size=100, width=64)
    folded = fold(trained)
    report = prove(trained, folded, folded, [])
    report.raise_failure()
    assert [distance.file for distance in report.distances] == ["trained network", "folded network"]


def test_a_provider_that_is_not_at_hand_fails(generator, path):
    written(fold(generator), path)
    with pytest.raises(WrongProviderError, match="TensorrtExecutionProvider"):
        OnnxRunner(path, "fp32", "TensorrtExecutionProvider")


def _set_batch(value, size):
    value.type.tensor_type.shape.dim[0].dim_value = size


def _set_symbol(value, symbol):
    value.type.tensor_type.shape.dim[0].dim_param = symbol
