"""The same function passes, and everything else fails with the error that says why."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from dcgan.core.onnx_session import CPU
from dcgan.export.errors import (
    BatchDependenceError,
    FloatMismatchError,
    LevelMismatchError,
)
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.graph.fold import fold
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.verify.backends import EagerBackend, OnnxBackend, TorchScriptBackend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.export.verify.verdict import judge
from tests.export.onnx_files import edited, written


@pytest.fixture(scope="module")
def reference(generator):
    return run_probes(EagerBackend(generator, "trained network", double=True), 10)


def failures(backend, reference):
    limits = TOLERANCES[backend.precision, backend.provider]
    return {
        type(error) for error in judge(measure(backend, run_probes(backend, 10), reference, limits))
    }


def test_the_same_function_passes(generator, reference, path):
    assert failures(written(fold(generator), path), reference) == set()


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
    write_torchscript(
        PixelGenerator(generator), tmp_path / "generator.ts", latent_size=10, metadata="{}"
    )
    backend = TorchScriptBackend(tmp_path / "generator.ts")

    assert failures(backend, reference) == {
        BatchDependenceError,
        FloatMismatchError,
        LevelMismatchError,
    }


def test_nan_fails(generator, reference):
    backend = EagerBackend(generator, "trained network")
    poisoned = [output._replace(floats=np.full_like(output.floats, np.nan)) for output in reference]
    distance = measure(backend, poisoned, reference, TOLERANCES["fp32", "PyTorch"])
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
    assert BatchDependenceError in failures(OnnxBackend(path, "fp32", CPU), reference)
