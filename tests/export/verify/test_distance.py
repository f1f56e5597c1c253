"""The distance between a file and the reference."""

import pytest

from dcgan.export.errors import FailedRunError
from dcgan.export.graph.fold import fold
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.inputs import ModelOutputs
from dcgan.export.verify.probes import run_probes
from tests.export.onnx_files import written


@pytest.fixture(scope="module")
def reference(generator):
    return run_probes(EagerBackend(generator, "trained network", double=True), 10)


def test_one_changed_byte_in_one_batch_size_is_batch_dependence(generator, path):
    backend = written(fold(generator), path)
    outputs = run_probes(backend, 10)
    images = outputs[4].images.copy()  # seed 0 in a batch of 32
    images[31, 0, 0, 0] ^= 1
    changed = [*outputs[:4], ModelOutputs(images, outputs[4].floats), *outputs[5:]]
    assert measure(backend, outputs, outputs).batch_invariant
    assert not measure(backend, changed, outputs).batch_invariant


def test_images_of_another_shape_are_not_compared(generator, reference):
    outputs = [ModelOutputs(output.images[:1], output.floats[:1]) for output in reference]
    with pytest.raises(FailedRunError, match="gives images"):
        measure(EagerBackend(generator, "a network"), outputs, reference)
