"""The whole gate: each way to be wrong ends in an error of its own."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dcgan.export import errors
from dcgan.export.errors import ParityError
from dcgan.export.formats.writer import write_files
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.graph.stages import NetworkStages
from dcgan.export.options import ExportOptions
from dcgan.export.release.manifest import draft_manifest
from dcgan.export.verify import probes
from dcgan.export.verify.gate import compare_with_training
from dcgan.export.verify.loading import load_backends
from dcgan.export.verify.weight_check import check_weights
from dcgan.zoo.release import describe_file

pytestmark = pytest.mark.slow


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
    """ModelInputs normalisation in training mode, spelled out, of z."""
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
    backends = load_backends(
        files, folder, draft_manifest(run, ExportOptions(name="small", version=1))
    )

    check_weights(files, folder, folded)
    compare_with_training(NetworkStages(run.generator, folded, folded), backends).raise_failure()


def test_what_was_written_passes(run, generator, tmp_path):
    pass_through_the_gate(run, build_onnx(fold(generator)), tmp_path)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_be_wrong_has_its_error(run, generator, tmp_path, way):
    model = build_onnx(fold(generator))
    way(model)
    with pytest.raises(ParityError) as caught:
        pass_through_the_gate(run, model, tmp_path)
    assert type(caught.value) is WAYS[way], caught.value
    assert "generator.onnx" in str(caught.value)


def test_each_kind_of_parity_error_is_caused_by_some_way_or_tested_elsewhere():
    elsewhere = {errors.WrongProviderError, errors.FloatMismatchError, errors.QualityError}
    assert set(WAYS.values()) | elsewhere == set(ParityError.__subclasses__())


def test_a_right_network_of_full_width_passes(make_generator, monkeypatch):
    monkeypatch.setattr(probes, "BATCHES", (1, 2, 7))  # enough to see the error of long sums
    trained = make_generator(image_size=64, latent_size=100, width=64)
    folded = fold(trained)
    report = compare_with_training(NetworkStages(trained, folded, folded), [])
    report.raise_failure()
    assert [distance.file for distance in report.distances] == ["trained network", "folded network"]


OPTIONS = ExportOptions(name="small", version=1)


def test_a_file_that_is_another_function_is_not_published(run, folder, make_generator):
    """The files are written from one network and proven against another."""
    other = make_generator()
    other.head.weight.data.mul_(1.05)
    draft = draft_manifest(run, ExportOptions(name="small", version=1))
    folder.mkdir()
    backends = load_backends(
        write_files(fold(run.generator), folder, OPTIONS, metadata="{}"), folder, draft
    )
    report = compare_with_training(NetworkStages(other, fold(other), fold(other)), backends)

    with pytest.raises(ParityError, match=r"generator\.onnx"):
        report.raise_failure()
    assert [verdict.passed for verdict in report.verdicts({"generator.onnx", "generator.ts"})] == [
        False,
        False,
    ]
    assert report.table().count("FAILED") == 3
