"""What a manifest says of a model with classes."""

from dcgan.zoo.golden import golden_labels
from dcgan.zoo.manifest import Tensor

CLASSES = 3


def test_a_release_says_that_it_takes_labels(labelled):
    manifest = labelled.manifest
    assert (manifest.classes, manifest.class_names) == (CLASSES, ("cat", "dog", "ship"))
    assert manifest.inputs[1] == Tensor(name="label", dtype="int64", shape=("batch",))
    assert set(golden_labels(manifest.golden)) == set(range(CLASSES))
    assert {verdict.path for verdict in manifest.parity} == {
        file.path for file in manifest.files if file.precision
    }
