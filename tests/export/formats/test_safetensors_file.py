"""The weights as safetensors: written and read back."""

import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcgan.export.errors import ExportError
from dcgan.export.formats import safetensors_file
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


@pytest.mark.hostile(
    "A sparse file of 2 GB in the place of a model's safetensors", "refused before it is read"
)
def test_weights_of_gigabytes_are_refused_unread(tmp_path, write_holes, monkeypatch):
    monkeypatch.setattr(safetensors_file, "load_file", lambda _: pytest.fail("read"))
    write_holes(tmp_path / "w")
    with pytest.raises(ExportError, match="no regular file of at most 1024 MiB"):
        read_safetensors(tmp_path / "w")


@pytest.mark.hostile(
    "Safetensors of a model with other types, names or widths than a generator",
    "refused before they are read",
)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head.weight": torch.zeros(4, 3, 4, 4, dtype=torch.int64)}, "neither float32 nor"),
        ({"head.weight": torch.zeros(4, 3, 4, 4, dtype=torch.complex64)}, "the type C64"),
        ({"other": torch.zeros(1)}, "Error.* in loading state_dict"),
        ({"head.weight": torch.zeros(4, 2, 4, 4)}, "channels must be 1 or 3"),
        ({"hidden.1.weight": torch.zeros(16, 9, 4, 4)}, "other widths than those of a recipe"),
    ],
)
def test_weights_of_another_layout_are_refused_unread(
    make_generator, tmp_path, monkeypatch, change, reason
):
    weights = fold(make_generator(width=4)).state_dict()
    if "hidden.1.weight" in change:
        change = change | {
            "hidden.1.bias": torch.zeros(9),
            "hidden.2.weight": torch.zeros(9, 4, 4, 4),
        }
    save_file({**weights, **change}, tmp_path / "w")
    monkeypatch.setattr(safetensors_file, "load_file", lambda _: pytest.fail("read"))
    with pytest.raises(ExportError, match=reason):
        read_safetensors(tmp_path / "w")


def test_a_fifo_is_no_file_of_weights(tmp_path):
    os.mkfifo(tmp_path / "w")
    with pytest.raises(ExportError, match="no regular file"):
        read_safetensors(tmp_path / "w")
