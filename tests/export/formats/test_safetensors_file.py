"""The weights as safetensors: written and read back."""

import numpy as np
import pytest

from dcgan.export.errors import ExportError
from dcgan.export.formats.safetensors_file import read_safetensors, write_safetensors
from dcgan.export.graph.fold import fold


def test_weights_come_back_as_they_went(make_generator, tmp_path):
    network = fold(make_generator(image_size=64, width=4, channels=1))
    write_safetensors(network, tmp_path / "w", metadata="{}", float16=False)
    again = read_safetensors(tmp_path / "w")
    assert (again.latent_size, again.channels, again.image_size) == (10, 1, 64)
    for name, tensor in network.state_dict().items():
        assert np.array_equal(tensor.numpy(), again.state_dict()[name].numpy()), name


@pytest.mark.parametrize("data", [b"", b"nothing" * 100])
def test_weights_that_are_none_are_refused(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(ExportError, match="does not hold a generator"):
        read_safetensors(tmp_path / "w")


CLASSES = 3


def test_weights_with_classes_come_back_as_they_went(labelled):
    network = read_safetensors(labelled.folder / "generator.safetensors")
    assert network.classes == CLASSES
    assert [len(affine.shift) for affine in network.affines] == [CLASSES] * 3
