"""Every stored weight is that of the released network, bit for bit, in every format and form."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from dcgan.export.errors import WeightMismatchError
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.formats.weights import read_weights, write_weights
from dcgan.export.graph.fold import fold, round_to_half
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_graph, write_graph
from dcgan.export.graph.postprocess import Served
from dcgan.export.graph.subpixel import join_phases, merge_joined, merge_phases, split_phases
from dcgan.export.verify.weight_check import (
    check_graph_weights,
    check_same_weights,
    check_torchscript_weights,
)

ROUNDS = 20


@pytest.fixture
def network(make_generator):
    return round_to_half(fold(make_generator(width=4)))


@pytest.fixture(
    params=[(PLAIN, False), (SUBPIXEL, False), (SUBPIXEL, True)], ids=["plain", "subpixel", "half"]
)
def graph(request, network):
    form, half = request.param
    return build_graph(network, facts="{}", half_weights=half, form=form)


def nudged(network, seed):
    """Moves one weight, any one, by the smallest step there is."""
    rng = np.random.default_rng(seed)
    other = round_to_half(network)
    weight = list(other.parameters())[rng.integers(len(list(other.parameters())))]
    place = rng.integers(weight.numel())
    weight.view(-1)[place] = torch.nextafter(weight.view(-1)[place], torch.tensor(1e9))
    return other


def test_the_phases_merge_into_the_weight_they_came_from():
    weight = np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32)
    assert np.array_equal(
        merge_phases({phase.name: phase.kernel for phase in split_phases(weight)}), weight
    )
    assert np.array_equal(merge_joined(join_phases(weight)), weight)


def test_a_graph_has_the_weights_of_its_network_and_of_no_other(network, graph, tmp_path):
    write_graph(graph, tmp_path / "g.onnx")
    check_graph_weights(tmp_path / "g.onnx", network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError, match=r"g\.onnx"):
            check_graph_weights(tmp_path / "g.onnx", nudged(network, seed))


def test_any_changed_weight_of_a_graph_is_found(network, graph, tmp_path):
    rng = np.random.default_rng(0)
    weights = [t for t in graph.graph.initializer if "weight" in t.name or "bias" in t.name]
    for _ in range(ROUNDS):
        tensor = weights[rng.integers(len(weights))]
        before = onnx.TensorProto.FromString(tensor.SerializeToString())
        array = numpy_helper.to_array(tensor).copy()
        array.flat[rng.integers(array.size)] += array.dtype.type(0.01)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        write_graph(graph, tmp_path / "g.onnx")
        with pytest.raises(WeightMismatchError):
            check_graph_weights(tmp_path / "g.onnx", network)
        tensor.CopyFrom(before)


def test_torchscript_has_the_weights_of_its_network_and_of_no_other(network, tmp_path):
    write_torchscript(Served(network), tmp_path / "g.ts", latent_size=10, facts="{}")
    check_torchscript_weights(tmp_path / "g.ts", network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError, match=r"g\.ts"):
            check_torchscript_weights(tmp_path / "g.ts", nudged(network, seed))


@pytest.mark.parametrize("half", [False, True])
def test_safetensors_has_the_weights_of_its_network_and_of_no_other(network, tmp_path, half):
    write_weights(network, tmp_path / "g.safetensors", facts="{}", half=half)
    again = read_weights(tmp_path / "g.safetensors")
    check_same_weights("g.safetensors", again, network)
    for seed in range(ROUNDS):
        with pytest.raises(WeightMismatchError):
            check_same_weights("g.safetensors", again, nudged(network, seed))
