import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from dcgan.core import noise
from dcgan.core.onnx_session import CPU, open_session
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.subject import open_subject
from dcgan.training.errors import TrainingError
from dcgan.training.models.networks import Generator, init_weights
from dcgan.training.recipe_files import load_recipe
from dcgan.training.run_config import DataFacts, RunConfig
from dcgan.training.run_folder import RunFolder
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.release import Release, sha256


def quiet(numbers, title):
    return numbers


def open_quietly(what, precision="fp32", seed=0):
    return open_subject(
        str(what), precision=precision, seed=seed, progress=quiet, show=lambda line: None
    )


@pytest.fixture
def run_folder(tmp_path):
    """A run folder of a generator with three classes, as dcgan-train leaves it."""
    changes = ["width=8", "latent_size=10", "classes=3"]
    recipe = load_recipe(
        "digits", [f"generator.{change}" for change in changes] + ["discriminator.classes=3"]
    )
    names = ("a", "b", "c")
    data = DataFacts(name="d", images=99, image_size=32, sha256="0" * 64, class_names=names)
    config = RunConfig(
        schema_version=1,
        recipe=recipe,
        data=data,
        seed=1,
        steps=10,
        device="cpu",
        precision="fp32",
        hardware="a test",
        versions={},
    )
    generator = Generator(recipe.generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        init_weights(generator)
        for name, tensor in generator.state_dict().items():
            if name.endswith("norm.shift.weight"):
                tensor.normal_(0.0, 0.5)

    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    folder.write_weights("generator.safetensors", generator, step=10, images_seen=640)
    return folder.path


def test_images_of_a_model_are_those_of_the_noise_contract(release):
    subject = open_quietly(release.folder, seed=7)
    session = open_session(release.path(release.manifest.file("onnx")), CPU)
    (expected,) = session.run(["images"], {"z": noise.latents(7, 0, 60, 10)})

    assert (subject.images(60, None) == expected).all()
    assert subject.facts["noise"] == noise.SCHEME


def test_a_run_is_exported_and_takes_labels(run_folder):
    subject = open_quietly(run_folder)
    labels = np.array([0, 1, 2, 2], dtype=np.int64)
    images = subject.images(4, labels)

    assert subject.name == "the run run"
    assert subject.classes == 3
    assert images.shape == (4, 32, 32, 1)
    assert (images != subject.images(4, (labels + 1) % 3)).any()


def test_a_data_set_of_a_library_is_taken_where_no_model_has_its_name(monkeypatch):
    monkeypatch.setattr("dcgan.evaluation.subject.local_repositories", lambda: [])
    subject = open_quietly("digits")

    assert (subject.image_size, subject.channels) == (10, 1)
    assert subject.images(10, None).shape == (10, 10, 10, 1)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_source_whose_first_image_is_damaged_is_named(tmp_path, kind):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    source = tmp_path / "images"
    if kind == "zip":
        source = shutil.make_archive(str(source), "zip", source)
    with pytest.raises(TrainingError, match=r"a\.png in .* cannot be decoded"):
        open_quietly(source)


def test_a_precision_goes_with_a_model_only(run_folder, make_folder):
    for what in (run_folder, make_folder("few", 20)):
        with pytest.raises(EvaluationError, match="--precision goes with an exported model"):
            open_quietly(what, precision="int8")


def test_the_export_of_a_run_leaves_the_number_of_threads(run_folder):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        open_quietly(run_folder)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_more_images_than_a_source_has_are_an_error(make_folder):
    with pytest.raises(EvaluationError, match="fewer than 50"):
        open_quietly(make_folder("few", 20)).images(50, None)


@pytest.mark.hostile(
    "A model with an unsafe graph, given to `dcgan-evaluate`",
    "refused before ONNX Runtime sees it",
)
def test_a_graph_that_no_release_needs_is_not_run(release, tmp_path):
    folder = shutil.copytree(release.folder, tmp_path / "model")
    release = Release(folder, release.manifest)
    path = release.path(release.manifest.file("onnx"))
    model = onnx.load(path)
    model.graph.node.insert(0, helper.make_node("RandomNormal", [], ["noise"], shape=[1]))
    onnx.save(model, path)

    manifest = json.loads((release.folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"] == path.name:
            file |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (release.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UnsafeGraphError, match="it uses the operator 'RandomNormal'"):
        open_quietly(release.folder)
