"""ONNX files from outside: plain graphs pass, everything else is refused before it is loaded."""

import itertools
import os
import random
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dcgan.zoo.onnx_check import check_onnx, check_onnx_file
from dcgan.zoo.onnx_model import UnsafeGraphError, read_graph
from dcgan.zoo.repository import SHIPPED, find_release

RELEASE = find_release(SHIPPED, "dcgan64-tiny")
PATH = RELEASE.folder / "generator.onnx"


@pytest.fixture
def model():
    """The shipped graph, to be changed."""
    return onnx.load(PATH)


def check(model):
    return check_onnx(model.SerializeToString(), RELEASE.manifest)


def insert(model, operator, *, inputs=("z",), output="extra", **attributes):
    """Adds a node in front of the others."""
    model.graph.node.insert(0, helper.make_node(operator, list(inputs), [output], **attributes))


def constant(model, name, array):
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))


def endless_loop():
    """The body of a Loop that always goes on."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Identity", ["condition"], ["on"]),
        helper.make_node("Identity", ["x"], ["same"]),
    ]
    inputs = [
        info("i", TensorProto.INT64, []),
        info("condition", TensorProto.BOOL, []),
        info("x", TensorProto.FLOAT, ["n", "d"]),
    ]
    outputs = [
        info("on", TensorProto.BOOL, []),
        info("same", TensorProto.FLOAT, ["n", "d"]),
    ]
    return helper.make_graph(nodes, "body", inputs, outputs)


def a_loop_without_end(model):
    constant(model, "true", np.array(True))
    insert(model, "Loop", inputs=("", "true", "z"), body=endless_loop())


def a_branch(model):
    constant(model, "one", np.array([1], np.int64))
    insert(model, "If", inputs=("one",), then_branch=endless_loop(), else_branch=endless_loop())


def a_nested_graph_in_a_known_operator(model):
    insert(model, "Relu", body=endless_loop())


def an_operator_of_another_domain(model):
    insert(model, "Relu", domain="com.example")


def another_operator_set(model):
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def an_operator_set_with_other_meanings(model):
    model.opset_import[0].version = 9


def a_conversion_to_text(model):
    insert(model, "Cast", to=TensorProto.STRING)


def a_function(model):
    node = helper.make_node("Relu", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("", "Tanh", ["x"], ["y"], [node], opsets))


def training_information(model):
    model.training_info.add()


def an_unknown_operator(model):
    insert(model, "ConstantOfShape")


def weights_in_another_file(model):
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")


def weights_said_to_be_in_another_file(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def a_sparse_initializer(model):
    model.graph.sparse_initializer.add()


def text_as_a_constant(model):
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]))


def a_tensor_larger_than_its_bytes(model):
    model.graph.initializer[0].dims[0] = 2**40


def a_tensor_of_negative_size(model):
    model.graph.initializer[0].dims[0] = -1


def a_bomb_by_concatenation(model):
    name = "z"
    for i in range(40):
        insert(model, "Concat", inputs=(name, name), output=f"c{i}", axis=1)
        model.graph.node.append(model.graph.node[0])
        del model.graph.node[0]
        name = f"c{i}"


def a_bomb_by_broadcasting(model):
    constant(model, "column", np.zeros((2**14, 1, 1), np.float32))
    constant(model, "row", np.zeros((2**14, 1), np.float32))
    insert(model, "Add", inputs=("column", "row"))


def a_bomb_that_grows_with_the_square_of_the_batch(model):
    constant(model, "axis", np.array([0], np.int64))
    constant(model, "other", np.array([2], np.int64))
    insert(model, "Add", inputs=("left", "right"))
    insert(model, "Unsqueeze", inputs=("z", "axis"), output="left")
    insert(model, "Unsqueeze", inputs=("wide", "other"), output="right")
    insert(model, "Concat", inputs=["z"] * 16, output="wide", axis=1)


def a_bomb_by_stride(model):
    constant(model, "kernel", np.zeros((100, 100, 4, 4), np.float32))
    constant(model, "axes", np.array([2, 3], np.int64))
    names = ["grid", *(f"up{i}" for i in range(6))]
    for below, above in reversed(list(itertools.pairwise(names))):
        insert(model, "ConvTranspose", inputs=(below, "kernel"), output=above, strides=[16, 16])
    insert(model, "Unsqueeze", inputs=("z", "axes"), output="grid")


def too_many_nodes(model):
    for i in range(3000):
        insert(model, "Relu", output=f"r{i}")


def an_output_written_twice(model):
    insert(model, "Relu", output="images")


def an_input_that_does_not_exist(model):
    insert(model, "Relu", inputs=("nowhere",))


def another_input(model):
    model.graph.input[0].name = "noise"


def another_output(model):
    model.graph.output.append(helper.make_tensor_value_info("z2", TensorProto.FLOAT, ["batch", 1]))


def another_output_shape(model):
    (crop,) = [node for node in model.graph.node if "images" in node.output]
    crop.output[0] = "whole"
    constant(model, "s", np.array([1], np.int64))
    constant(model, "e", np.array([3], np.int64))
    model.graph.node.append(helper.make_node("Slice", ["whole", "s", "e", "s"], ["images"]))


WAYS = [
    a_loop_without_end,
    a_branch,
    a_nested_graph_in_a_known_operator,
    an_operator_of_another_domain,
    another_operator_set,
    an_operator_set_with_other_meanings,
    a_conversion_to_text,
    a_function,
    training_information,
    an_unknown_operator,
    weights_in_another_file,
    weights_said_to_be_in_another_file,
    a_sparse_initializer,
    text_as_a_constant,
    a_tensor_larger_than_its_bytes,
    a_tensor_of_negative_size,
    a_bomb_by_concatenation,
    a_bomb_by_broadcasting,
    a_bomb_that_grows_with_the_square_of_the_batch,
    a_bomb_by_stride,
    too_many_nodes,
    an_output_written_twice,
    an_input_that_does_not_exist,
    another_input,
    another_output,
    another_output_shape,
]


def test_the_shipped_model_passes_and_its_cost_is_told(model):
    cost = check(model)
    assert 2**18 < cost.elements < 2**21
    assert cost.multiplications > 2**22


@pytest.mark.hostile(
    "An ONNX graph with a loop, a branch, a function, another domain, external data, or "
    "tensors that multiply",
    "refused before ONNX Runtime sees it",
)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_no_released_graph_needs_is_refused(model, way):
    way(model)
    with pytest.raises(UnsafeGraphError):
        check(model)


def test_a_refusal_names_the_file_and_the_cure(model, tmp_path):
    a_loop_without_end(model)
    path = tmp_path / "generator.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeGraphError, match=r"generator\.onnx is not loaded: .* dcgan-export"):
        check_onnx_file(path, RELEASE.manifest)


@pytest.mark.hostile("An ONNX file of a terabyte", "refused after 512 MiB")
def test_a_file_of_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "generator.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnsafeGraphError, match="cannot read .*: it has over 512 MiB"):
        check_onnx_file(path, RELEASE.manifest)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "generator.onnx")
    with pytest.raises(UnsafeGraphError, match="it is not a regular file"):
        check_onnx_file(tmp_path / "generator.onnx", RELEASE.manifest)


def test_a_file_that_is_cut_off_is_refused():
    data = PATH.read_bytes()
    for size in [*range(200), *range(200, len(data), 9973)]:
        with pytest.raises(UnsafeGraphError):
            check_onnx(data[:size], RELEASE.manifest)


@pytest.mark.slow
@pytest.mark.hostile("Changed bytes in an ONNX file", "refused, or a graph that is safe")
def test_changed_bytes_give_no_other_error():
    data = PATH.read_bytes()
    head = 6000  # nodes, attributes and names; behind them are weights
    rng = random.Random(0)

    for _ in range(600):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(head)] = rng.randrange(256)
        try:
            check_onnx(bytes(changed), RELEASE.manifest)
        except UnsafeGraphError:
            continue


def test_the_check_imports_neither_onnx_nor_onnx_runtime():
    program = (
        "import sys; from dcgan.zoo import onnx_check; "
        "sys.exit(not {'onnx', 'onnxruntime', 'torch', 'google.protobuf'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.hostile("An ONNX node with millions of inputs", "refused after 64 of them")
def test_a_message_of_too_many_fields_is_refused():
    node = b"\x0a\x00" * 65  # inputs without a name
    graph = b"\x0a" + bytes((0x82, 1)) + node
    with pytest.raises(UnsafeGraphError, match="has over 64 fields"):
        read_graph(memoryview(b"\x3a" + bytes((len(graph) & 0x7F | 0x80, 1)) + graph))
