"""Safetensors files with a digest."""

import json

import pytest
import torch
from safetensors.torch import save

from dcgan.training.errors import TrainingError
from dcgan.training.tensor_file import encode_tensors, read_tensors

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2])}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "it.safetensors"


def test_tensors_and_facts_are_read_as_they_were_written(path):
    path.write_bytes(encode_tensors(TENSORS, {"step": 3}))
    tensors, facts = read_tensors(path)
    assert facts == {"step": 3}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_equal_content_gives_equal_bytes():
    other_order = dict(reversed(TENSORS.items()))
    assert encode_tensors(TENSORS, {"step": 3}) == encode_tensors(other_order, {"step": 3})


@pytest.mark.hostile("safetensors metadata with 1e999, other types, missing keys", "one sentence")
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"training": "no JSON"},
        {"training": "3"},
        {"training": "[" * 100_000},
        {"training": '{"step": 1e999, "sha256": ""}'},
        {"training": '{"step": 1' + "0" * 5000 + ', "sha256": ""}'},
        {"training": '{"step": "' + "9" * 5000 + '", "sha256": ""}'},
        {"training": '{"step": null, "sha256": ""}'},
        {"training": json.dumps({"step": 3})},
        {"training": json.dumps({"step": 3, "sha256": "0" * 64})},
    ],
)
def test_strange_metadata_are_refused_in_one_sentence(path, metadata):
    path.write_bytes(save(TENSORS, metadata))
    with pytest.raises(
        TrainingError, match="is damaged or was written by another release"
    ) as error:
        read_tensors(path)
    assert "\n" not in str(error.value)
    assert "int_max_str_digits" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.hostile("safetensors metadata of 100,000 brackets", "one sentence")
def test_a_header_of_nested_lists_is_refused(path):
    header = b"[" * 100_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(TrainingError, match="is damaged"):
        read_tensors(path)


@pytest.mark.hostile("safetensors metadata of a megabyte", "refused before it is parsed")
def test_large_metadata_is_not_parsed(tmp_path):
    path = tmp_path / "it.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, {"training": "[" + "[]," * 30_000 + "[]]"}))
    with pytest.raises(TrainingError, match=r"damaged .*its metadata has 90,004 characters"):
        read_tensors(path)
