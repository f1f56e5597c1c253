"""Small trained runs for the tests of the export."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from dcgan.core.origin import Training
from dcgan.export.graph.fold import FoldedGenerator, fold
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.networks import Generator, init_weights
from dcgan.training.recipe_files import load_recipe
from dcgan.training.run_config import DataFacts, RunConfig
from dcgan.training.run_folder import Run, RunFolder
from dcgan.zoo.release import Release

TRAINING = Training(
    recipe="digits", data="digits", data_sha256="0" * 64, images_seen=640, seed=1, hardware="a test"
)


def lively_generator(**shape: int) -> Generator:
    """Returns a generator whose batch normalizations have statistics that folding must use."""
    generator = Generator(
        GeneratorConfig(**{"image_size": 32, "latent_size": 10, "width": 8} | shape)
    )

    with torch.random.fork_rng():
        torch.manual_seed(5)
        init_weights(generator)
        for name, tensor in generator.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0.0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.01, 0.1)
            elif name.endswith(("norm.bias", "norm.shift.weight")):
                tensor.normal_(0.0, 0.3)
            elif name.endswith("norm.scale.weight"):
                tensor.normal_(1.0, 0.3)
    return generator.eval()


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked on a machine without one; a GPU adds lines to what is told."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def make_generator() -> Callable[..., Generator]:
    return lively_generator


@pytest.fixture(scope="module")
def make_module_generator() -> Callable[..., Generator]:
    """For what a whole file of tests shares, and must not change."""
    return lively_generator


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread, and a busy machine delays it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def generator() -> Generator:
    """Tests must not change it."""
    return lively_generator()


@pytest.fixture(scope="module")
def conditional(make_module_generator: Callable[..., Generator]) -> Generator:
    """With three classes. Tests must not change it."""
    return make_module_generator(classes=3)


@pytest.fixture
def calm(make_generator: Callable[..., Generator]) -> FoldedGenerator:
    """A folded network whose images have little contrast."""
    return fold(make_generator(width=4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an ONNX file is written."""
    return tmp_path / "generator.onnx"


@pytest.fixture(scope="session")
def run(generator: Generator) -> Run:
    return Run(
        generator=generator,
        training=TRAINING,
        class_names=(),
        description="Noise that looks like nothing",
    )


@pytest.fixture(scope="session")
def release(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """One released model that tests only read."""
    return export(
        run,
        tmp_path_factory.mktemp("models"),
        ExportOptions(name="small", version=1),
        lambda _: None,
    )


@pytest.fixture(scope="session")
def labelled(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """One released model with classes, in every format, that tests only read."""
    generator = lively_generator(classes=3)
    named = dataclasses.replace(run, generator=generator, class_names=("cat", "dog", "ship"))
    options = ExportOptions(
        name="labelled",
        version=1,
        formats=("onnx", "torchscript", "pt2", "safetensors"),
        int8=True,
        fp16=True,
    )
    return export(named, tmp_path_factory.mktemp("models"), options, lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository to write to."""
    return tmp_path / "models"


@pytest.fixture
def run_folder(make_generator, tmp_path) -> Path:
    """A run folder as dcgan-train leaves it."""
    recipe = load_recipe("digits", ["generator.width=8", "generator.latent_size=10"])
    config = RunConfig(
        schema_version=1,
        recipe=recipe,
        data=DataFacts(name="digits", images=1797, image_size=32, sha256="0" * 64, class_names=()),
        seed=1,
        steps=10,
        device="cpu",
        precision="fp32",
        hardware="a test",
        versions={},
    )
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    folder.write_weights(
        "generator.safetensors", make_generator(channels=1), step=10, images_seen=640
    )
    return folder.path
