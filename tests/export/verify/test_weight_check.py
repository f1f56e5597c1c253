"""Every stored weight is that of the released network, bit for bit, in every format and form."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from dcgan.export.errors import WeightMismatchError
from dcgan.export.formats.onnx_file import read_onnx_weights, write_onnx
from dcgan.export.formats.safetensors_file import read_safetensors, write_safetensors
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.graph.fold import fold, round_to_float16
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_onnx
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.verify.weight_check import (
    check_same_weights,
    check_torchscript_weights,
)
from tests.export.onnx_files import change_table, edited, write_float16

ROUNDS = 20


@pytest.fixture
def network(make_generator):
    return round_to_float16(fold(make_generator(width=4)))


@pytest.fixture(
    params=[(PLAIN, False), (SUBPIXEL, False), (SUBPIXEL, True)], ids=["plain", "subpixel", "half"]
)
def graph(request, network):
    form, half = request.param
    return build_onnx(network, float16_weights=half, form=form)


def nudged(network, seed):
    """Moves one weight, any one, by the smallest step there is."""
    rng = np.random.default_rng(seed)
    other = round_to_float16(network)
    weight = list(other.parameters())[rng.integers(len(list(other.parameters())))]
    place = rng.integers(weight.numel())
    weight.view(-1)[place] = torch.nextafter(weight.view(-1)[place], torch.tensor(1e9))
    return other


def test_a_graph_has_the_weights_of_its_network_and_of_no_other(network, graph, tmp_path):
    write_onnx(graph, tmp_path / "g.onnx")
    check_same_weights("g.onnx", read_onnx_weights(tmp_path / "g.onnx"), network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError, match=r"g\.onnx"):
            check_same_weights(
                "g.onnx", read_onnx_weights(tmp_path / "g.onnx"), nudged(network, seed)
            )


def test_any_changed_weight_of_a_graph_is_found(network, graph, tmp_path):
    rng = np.random.default_rng(0)
    weights = [t for t in graph.graph.initializer if "weight" in t.name or "bias" in t.name]

    for _ in range(ROUNDS):
        tensor = weights[rng.integers(len(weights))]
        before = onnx.TensorProto.FromString(tensor.SerializeToString())
        array = numpy_helper.to_array(tensor).copy()
        array.flat[rng.integers(array.size)] += array.dtype.type(0.01)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        write_onnx(graph, tmp_path / "g.onnx")
        with pytest.raises(WeightMismatchError):
            check_same_weights("g.onnx", read_onnx_weights(tmp_path / "g.onnx"), network)
        tensor.CopyFrom(before)


def test_torchscript_has_the_weights_of_its_network_and_of_no_other(network, tmp_path):
    write_torchscript(PixelGenerator(network), tmp_path / "g.ts", latent_size=10, metadata="{}")
    check_torchscript_weights(tmp_path / "g.ts", network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError, match=r"g\.ts"):
            check_torchscript_weights(tmp_path / "g.ts", nudged(network, seed))


@pytest.mark.parametrize("half", [False, True])
def test_safetensors_has_the_weights_of_its_network_and_of_no_other(network, tmp_path, half):
    write_safetensors(network, tmp_path / "g.safetensors", metadata="{}", float16=half)
    again = read_safetensors(tmp_path / "g.safetensors")
    check_same_weights("g.safetensors", again, network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError):
            check_same_weights("g.safetensors", again, nudged(network, seed))


def test_its_weights_are_those_of_the_network_rounded_once(generator, tmp_path):
    network = fold(generator)
    path = write_float16(network, tmp_path / "g.onnx")

    check_same_weights("g.onnx", read_onnx_weights(path), round_to_float16(network))
    model = onnx.load(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "hidden.1.weight"]
    array = numpy_helper.to_array(tensor).copy()
    array.flat[3] = np.nextafter(array.flat[3], np.float16(9))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    write_onnx(model, path)
    with pytest.raises(WeightMismatchError, match=r"hidden\.1\.weight"):
        check_same_weights("g.onnx", read_onnx_weights(path), round_to_float16(network))


CLASSES = 3


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
@pytest.mark.parametrize("part", ["gain", "shift"])
def test_the_smallest_change_of_one_class_is_found_by_its_weights(
    conditional, tmp_path, form, part
):
    def nudge(table):
        table.flat[5] = np.nextafter(table.flat[5], np.float32(9))
        return table

    network, path = fold(conditional), tmp_path / "g.onnx"
    edited(path, network, lambda _: None, form)
    check_same_weights("g.onnx", read_onnx_weights(path), network)
    edited(path, network, change_table(f"affines.2.{part}", nudge), form)
    with pytest.raises(WeightMismatchError, match=f"affines.2.{part}"):
        check_same_weights("g.onnx", read_onnx_weights(path), network)
