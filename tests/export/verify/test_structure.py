"""An ONNX file that is invalid, not self-contained or has another interface is refused."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from dcgan.export.errors import (
    InvalidGraphError,
    StaticBatchError,
    UnfoldedNormError,
    WrongInterfaceError,
)
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.verify.structure import check_structure
from dcgan.zoo.manifest import Tensor
from tests.export.onnx_files import edited

INPUTS = (Tensor(name="z", dtype="float32", shape=("batch", 10)),)


OUTPUTS = (Tensor(name="images", dtype="uint8", shape=("batch", 32, 32, 3)),)


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
    model = build_onnx(fold(generator))
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    write_onnx(model, path)
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


def _set_batch(value, size):
    value.type.tensor_type.shape.dim[0].dim_value = size


def _set_symbol(value, symbol):
    value.type.tensor_type.shape.dim[0].dim_param = symbol
