"""Backends run the whole file, on the right provider, or fail by name."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from dcgan.core.onnx_session import CPU, CUDA
from dcgan.core.schema import dump_json
from dcgan.export import errors
from dcgan.export.errors import (
    FailedRunError,
    WrongProviderError,
)
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.release.golden_images import golden_digests
from dcgan.export.verify.backends import OnnxBackend
from dcgan.export.verify.inputs import ModelInputs, seed_inputs
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.session import open_session
from tests.export.onnx_files import edited


def test_a_file_that_fails_on_some_batch_is_named_with_it(generator, path):
    def fix_inside(graph):
        (shape,) = [t for t in graph.initializer if t.name == "ints_-1_4_4_32"]
        shape.CopyFrom(numpy_helper.from_array(np.array([2, 4, 4, 32]), shape.name))

    edited(path, fold(generator), fix_inside)
    backend = OnnxBackend(path, "fp32", CPU)
    with pytest.raises(FailedRunError, match=r"generator\.onnx fails on a batch of 1"):
        run_probes(backend, 10)


def test_a_provider_that_is_not_at_hand_fails(generator, path):
    written(fold(generator), path)
    with pytest.raises(WrongProviderError, match="TensorrtExecutionProvider"):
        OnnxBackend(path, "fp32", "TensorrtExecutionProvider")


def written(network, path):
    write_onnx(build_onnx(network), path)
    return OnnxBackend(path, "fp32", CPU)


def test_a_file_that_was_to_run_on_cuda_does_not_fall_back_to_the_cpu(generator):
    model = build_onnx(fold(generator)).SerializeToString()
    open_session(model, CPU, "generator.onnx")
    with pytest.raises(errors.WrongProviderError, match=CUDA):
        open_session(model, CUDA, "generator.onnx")


@pytest.mark.gpu
def test_a_file_with_a_node_that_cuda_lacks_does_not_fall_back_to_the_cpu(generator, path):
    def tile_bytes(graph):
        graph.node[-1].output[0] = "single"
        graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1, 1]), "once"))
        graph.node.append(helper.make_node("Tile", ["single", "once"], ["images"]))

    edited(path, fold(generator), tile_bytes)
    open_session(path.read_bytes(), CPU, "generator.onnx")
    with pytest.raises(errors.WrongProviderError, match=CUDA):
        open_session(path.read_bytes(), CUDA, "generator.onnx")


CLASSES = 3


@pytest.fixture(scope="module")
def conditional(make_module_generator):
    return make_module_generator(classes=CLASSES)


def test_a_label_beyond_the_classes_fails_and_is_not_taken_for_another(conditional, tmp_path):
    write_onnx(build_onnx(fold(conditional)), tmp_path / "g.onnx")
    backend = OnnxBackend(tmp_path / "g.onnx", "fp32", CPU)
    with pytest.raises(FailedRunError, match="out of data bounds"):
        backend.images(ModelInputs(np.zeros((1, 10), np.float32), np.array([CLASSES])))


def test_a_fixed_batch_size_pads_and_splits_without_changing_an_image(labelled):
    manifest = labelled.manifest
    path = labelled.path(manifest.file("onnx", "fp32"))
    inputs = seed_inputs(7, 0, 11, latent_size=manifest.latent_size, classes=manifest.classes)
    exact = OnnxBackend(path, "fp32", CPU)(inputs)

    fixed = OnnxBackend(path, "fp32", CPU, batch_size=4)
    sizes = []
    real_run = fixed._run
    assert (fixed.batch_size, OnnxBackend(path, "fp32", CPU).batch_size) == (4, None)

    class Recorder:
        def __init__(self, session):
            self._session = session

        def run(self, outputs, feeds):
            sizes.append({len(value) for value in feeds.values()})
            return self._session.run(outputs, feeds)

    fixed._run = lambda session, output, given: real_run(Recorder(session), output, given)
    padded = fixed(inputs)

    np.testing.assert_array_equal(padded.images, exact.images)
    np.testing.assert_array_equal(padded.floats, exact.floats)
    assert sizes == [{4}] * 6  # three batches for the images, three for the floats


def test_golden_digests_name_the_batch_size_they_were_made_in(release):
    manifest = release.manifest
    path = release.path(manifest.file("onnx", "fp32"))
    backends = [
        OnnxBackend(path, "fp32", CPU),
        OnnxBackend(path, "fp32", CPU, batch_size=16),
    ]
    exact, fixed = golden_digests(backends, manifest)
    assert (exact.batch_size, fixed.batch_size) == (None, 16)
    assert "batch_size" not in dump_json(exact)
