"""The whole gate, from the file on the disk to the verdict: each way to be wrong ends in an error of its own."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dcgan.core.onnx_session import CPU, CUDA, available_providers
from dcgan.export import errors
from dcgan.export.errors import ParityError
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_graph
from dcgan.export.release.metadata import draft_manifest
from dcgan.export.verify.backends import open_session
from dcgan.export.verify.gate import check_weights, load, prove
from dcgan.zoo.repository import describe_file


def one_weight_moved_by_one_percent(model):
    (tensor,) = [
        tensor for tensor in model.graph.initializer if tensor.name == "hidden.2.phase10.weight"
    ]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[np.abs(array).argmax()] *= 1.01
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def an_axis_swapped(model):
    last = model.graph.node[-1]
    last.output[0] = "upright"
    model.graph.node.append(
        helper.make_node("Transpose", ["upright"], ["images"], perm=[0, 2, 1, 3])
    )


def add_norm(model, **attributes):
    graph = model.graph
    channels = next(t.dims[0] for t in graph.initializer if t.name == "head.weight")
    for name in ("scale", "shift", "mean", "variance"):
        graph.initializer.append(numpy_helper.from_array(np.ones(channels, np.float32), name))
    outputs = ["normed", "new_mean", "new_variance"] if attributes else ["normed"]
    inputs = ["head.conv", "scale", "shift", "mean", "variance"]
    place = next(i for i, node in enumerate(graph.node) if node.op_type == "Tanh")
    graph.node[place].input[0] = "normed"
    graph.node.insert(
        place, helper.make_node("BatchNormalization", inputs, outputs, name="late", **attributes)
    )


def a_norm_left(model):
    add_norm(model)


def a_norm_left_live(model):
    add_norm(model, training_mode=1)


def live_statistics_by_other_operators(model):
    """Batch normalisation in training mode, spelled out, of z."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0]), "zeroth"))
    for node in graph.node:
        node.input[:] = ["centred" if name == "z" else name for name in node.input]
    graph.node.insert(0, helper.make_node("Sub", ["z", "mean"], ["centred"]))
    graph.node.insert(0, helper.make_node("ReduceMean", ["z", "zeroth"], ["mean"], keepdims=1))


def a_static_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def another_name(model):
    model.graph.input[0].name = "noise"
    for node in model.graph.node:
        node.input[:] = ["noise" if name == "z" else name for name in node.input]


def another_type(model):
    (cast,) = [node for node in model.graph.node if node.op_type == "Cast"]
    cast.op_type = "Identity"
    del cast.attribute[:]
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


def another_axis_name(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "n"


def two_operator_sets(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def an_operator_of_another_set(model):
    two_operator_sets(model)
    next(node for node in model.graph.node if node.op_type == "Relu").domain = "com.microsoft"


def a_shape_that_fits_one_batch_only(model):
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "ints_-1_4_4_32"]
    tensor.CopyFrom(numpy_helper.from_array(np.array([2, 4, 4, 32]), tensor.name))


def weights_in_a_second_file(model):
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "head.weight"]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")


WAYS = {
    one_weight_moved_by_one_percent: errors.WeightMismatchError,
    an_axis_swapped: errors.LevelMismatchError,
    a_norm_left: errors.UnfoldedNormError,
    a_norm_left_live: errors.UnfoldedNormError,
    live_statistics_by_other_operators: errors.BatchDependenceError,
    a_static_batch: errors.StaticBatchError,
    another_name: errors.WrongInterfaceError,
    another_type: errors.WrongInterfaceError,
    another_axis_name: errors.WrongInterfaceError,
    two_operator_sets: errors.InvalidGraphError,
    an_operator_of_another_set: errors.InvalidGraphError,
    a_shape_that_fits_one_batch_only: errors.FailedRunError,
    weights_in_a_second_file: errors.InvalidGraphError,
}


def pass_through_the_gate(run, model, folder):
    """What an export does with one written file."""
    path = folder / "generator.onnx"
    path.write_bytes(model.SerializeToString())
    if any(tensor.external_data for tensor in model.graph.initializer):
        (folder / "weights.bin").write_bytes(bytes(2**16))
    files = [describe_file(path, "onnx", "fp32")]
    folded = fold(run.generator)
    runners = load(
        files, folder, draft_manifest(run, name="small", version=1, license="MIT", description="")
    )
    check_weights(files, folder, folded)
    prove(run.generator, folded, folded, runners).raise_failure()


def test_what_was_written_passes(run, generator, tmp_path):
    pass_through_the_gate(
        run, build_graph(fold(generator), facts="{}", half_weights=False), tmp_path
    )


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_be_wrong_has_its_error(run, generator, tmp_path, way):
    model = build_graph(fold(generator), facts="{}", half_weights=False)
    way(model)
    with pytest.raises(ParityError) as caught:
        pass_through_the_gate(run, model, tmp_path)
    assert type(caught.value) is WAYS[way], caught.value
    assert "generator.onnx" in str(caught.value)


@pytest.mark.skipif(
    CUDA in available_providers(), reason="there is a GPU, on which the file may run"
)
def test_a_file_that_was_to_run_on_cuda_does_not_fall_back_to_the_cpu(generator):
    model = build_graph(fold(generator), facts="{}", half_weights=False).SerializeToString()
    open_session(model, CPU, "generator.onnx")
    with pytest.raises(errors.WrongProviderError, match=CUDA):
        open_session(model, CUDA, "generator.onnx")


def test_no_two_errors_are_the_same_class_and_all_end_in_code_1():
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, ParityError)
    ]
    assert len(classes) == 12
    assert set(WAYS.values()) <= set(classes)
