"""Small recipes and real image files for the tests of training."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig, decode_to_memory
from dcgan.training.data.sources import open_source
from dcgan.training.models.network_config import DiscriminatorConfig, GeneratorConfig
from dcgan.training.run_config import SCHEMA_VERSION, DataFacts, RunConfig

# Where there is a GPU, only the tests that name it use it: others compare bytes, or start two
# processes.
os.environ.setdefault("DCGAN_TRAIN_DEVICE", "cpu")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, which is fastest for tiny networks, unless OMP_NUM_THREADS says otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go to a folder of the tests, not to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_HOME", str(tmp_path_factory.mktemp("home")))
        yield


SMALL = Recipe(
    name="small",
    description="Nothing to look at",
    batch_size=8,
    epochs=2,
    sample_steps=4,
    generator=GeneratorConfig(image_size=32, channels=3, latent_size=6, width=4),
    discriminator=DiscriminatorConfig(image_size=32, channels=3, width=4),
)


@pytest.fixture(scope="session")
def small() -> Recipe:
    """A recipe with tiny networks, for batches of 8."""
    return SMALL


@pytest.fixture(scope="session")
def forkserver() -> multiprocessing.context.ForkServerContext:
    """Processes that begin with the libraries loaded, so that a run starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["dcgan.training.engine.loop", "dcgan.training.options", "PIL.PngImagePlugin"]
    )
    return context


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 images in two classes, 48 wide and 40 high."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(3)
    for i in range(20):
        pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        path = folder / ("cats" if i % 2 else "dogs") / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="session")
def dataset(images: Path) -> Dataset:
    return decode_to_memory(open_source(str(images)), DecodeConfig(image_size=32, channels=3), iter)


@pytest.fixture(scope="session")
def configure(dataset: Dataset) -> Callable[..., RunConfig]:
    """Makes the configuration of a small run; keywords change its recipe, its steps or its seed."""

    def make(*, steps: int = 6, seed: int = 0, **changes: object) -> RunConfig:
        return RunConfig(
            schema_version=SCHEMA_VERSION,
            recipe=replace(SMALL, **changes),
            data=DataFacts(
                name=dataset.name,
                images=len(dataset.images),
                image_size=32,
                sha256=dataset.sha256,
                class_names=dataset.class_names,
            ),
            seed=seed,
            steps=steps,
            device="cpu",
            precision="fp32",
            hardware="a test",
            versions={},
        )

    return make


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute everything in float64, also the logits, which a step converts to float32."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
