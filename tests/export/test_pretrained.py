"""Generator.from_pretrained, and the programs in the cards of the shipped models."""

import dataclasses
import os
import shutil

import numpy as np
import onnxruntime as ort
import pytest
import torch

from dcgan.core import noise
from dcgan.core.images import decode_png, tile
from dcgan.core.onnx_session import CPU
from dcgan.core.schema import dump_json
from dcgan.export.errors import ExportError
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.pretrained import Generator
from dcgan.zoo.golden import read_golden
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.release import CorruptModelError, RepositoryError
from dcgan.zoo.repository import SHIPPED, list_releases

pytestmark = pytest.mark.slow

SHIPPED_MODELS = list_releases(SHIPPED)
each_shipped_model = pytest.mark.parametrize(
    "shipped", SHIPPED_MODELS, ids=lambda release: release.manifest.name
)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))


def levels(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@each_shipped_model
def test_a_shipped_model_makes_its_golden_images_in_pytorch(shipped):
    manifest = shipped.manifest
    generator = Generator.from_pretrained(manifest.name)
    images = [
        generator.generate(image.seed, offset=image.index, label=image.label)
        for image in manifest.golden.images
    ]
    assert levels(np.concatenate(images), read_golden(shipped)) <= 1


@each_shipped_model
def test_both_programs_of_a_shipped_card_make_the_images_of_the_service(
    shipped, tmp_path, monkeypatch
):
    manifest = shipped.manifest
    card = shipped.path(manifest.file("card")).read_text()
    onnx_program, torch_program = [
        part.partition("```")[0] for part in card.split("```python\n")[1:]
    ]
    monkeypatch.chdir(tmp_path)
    shutil.copy(shipped.folder / "generator.onnx", tmp_path)

    session = ort.InferenceSession("generator.onnx", providers=[CPU])
    inputs = {"z": noise.latents(7, 0, 64, manifest.latent_size)}
    if manifest.classes:
        inputs["label"] = noise.labels(0, 64, manifest.classes)
    (expected,) = session.run(["images"], inputs)

    values = {}
    exec(onnx_program, values)
    assert "dcgan" not in onnx_program
    assert np.array_equal(values["images"], expected)
    assert np.array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(expected))

    values = {}
    exec(torch_program, values)
    assert levels(values["images"], expected) <= 1


def test_weights_of_a_folder_come_from_its_safetensors(labelled, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dcgan.export.formats.onnx_file", None)
    generator = Generator.from_pretrained(labelled.folder)
    assert generator.manifest == labelled.manifest
    assert not generator.training
    images = generator.generate(3, 70, offset=5)
    assert images.shape == (70, 32, 32, 3)
    assert images.dtype == np.uint8

    label = torch.from_numpy(noise.labels(5, 70, 3))
    z = torch.from_numpy(noise.latents(3, 5, 70, 10))
    floats = generator(z, label).detach().permute(0, 2, 3, 1).numpy()
    assert np.abs((floats + 1) * 127.5 - images).max() <= 0.51


def test_a_label_is_for_all_images(labelled):
    generator = Generator.from_pretrained(str(labelled.folder))
    turns = generator.generate(3, 6)
    ones = generator.generate(3, 6, label=1)
    assert np.array_equal(turns[[1, 4]], ones[[1, 4]])
    assert not np.array_equal(turns[0], ones[0])
    with pytest.raises(ExportError, match="labelled has 3 classes, and no 3"):
        generator.generate(3, label=3)


def test_a_model_without_safetensors_has_the_weights_of_its_onnx_file(run, release, tmp_path):
    options = ExportOptions(name="bare", version=1, formats=("onnx",))
    bare = export(run, tmp_path, options, lambda _: None)
    ours = Generator.from_pretrained(bare.folder).network.state_dict()
    theirs = Generator.from_pretrained(release.folder).network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def copy_of(release, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(release.folder, folder)
    return folder


def test_weights_that_are_not_those_of_the_manifest_are_refused(release, labelled, tmp_path):
    folder = copy_of(release, tmp_path)
    size = os.path.getsize(folder / "generator.safetensors")
    (folder / "generator.safetensors").write_bytes(b"x" * size)
    with pytest.raises(CorruptModelError, match="is damaged"):
        Generator.from_pretrained(folder)


def test_a_manifest_of_another_shape_is_refused(release, tmp_path):
    folder = copy_of(release, tmp_path)
    output = dataclasses.replace(release.manifest.outputs[0], shape=("batch", 64, 64, 3))
    manifest = dataclasses.replace(release.manifest, image_size=64, outputs=(output,))
    (folder / FILE_NAME).write_text(dump_json(manifest))
    with pytest.raises(ExportError, match="not those of a generator as its manifest describes"):
        Generator.from_pretrained(folder)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(
        RepositoryError, match="there is no model 'nothing'; there is avatars64, cdcgan64, dcgan64"
    ):
        Generator.from_pretrained("nothing")
