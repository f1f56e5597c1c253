"""The run folder: what a training run leaves, and how it is read again.

config.json                  everything that decides the run: recipe, data, seed, precision, versions
metrics.jsonl                one line for each step
history.png                  its curves, drawn at the end
film.webp                    the grids in a row, made at the end
samples/                     real.png, step-000100.png ..., epoch-0001.png ...
epochs/0001/ ...             both networks after an epoch, where the recipe keeps them
generator.safetensors        the generator that will be exported, with how far it was trained
discriminator.safetensors    its opponent
checkpoint.safetensors       what --resume continues from
good.safetensors             the last checkpoint before anything looked like a collapse
detours.json                 when and why the run went back to it (--on-collapse rollback)
metrics.abandoned-1.jsonl    the measures of the steps that it then took anew
tensorboard/                 the same measures and grids for TensorBoard
skipped.txt                  the images that --skip-corrupt left out
.lock                        held by the process that trains here
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.core.atomic import remove_leftovers
from dcgan.core.locks import LockUnsupportedError, try_lock
from dcgan.core.schema import dump_json, parse_json
from dcgan.training.config import Recipe
from dcgan.training.errors import TrainingError
from dcgan.training.files import write_file
from dcgan.training.models.networks import Generator
from dcgan.training.recipe_changes import recipe_changes
from dcgan.training.tensor_file import pack, unpack
from dcgan.zoo.manifest import Training

SCHEMA_VERSION = 1
CONFIG = "config.json"
METRICS = "metrics.jsonl"
HISTORY = "history.png"
FILM = "film.webp"
SAMPLES = "samples"
SKIPPED = "skipped.txt"
LOCK = ".lock"
GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What is known of the images of a run; see `dcgan.training.data.dataset.Dataset`."""

    name: str
    images: int
    image_size: int
    sha256: str
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        schema_version: of this document.
        recipe: how it is trained.
        data: with what.
        seed: of every random number.
        steps: how many it will take.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".
        deterministic: on a GPU, only kernels that give the same bits each time.
        hardware: processor that trains, for people.
        versions: of the libraries.
        commit: of this project, where it is known.
    """

    schema_version: int
    recipe: Recipe
    data: DataFacts
    seed: int
    steps: int
    device: str
    precision: str
    hardware: str
    versions: dict[str, str]
    commit: str | None = None
    deterministic: bool = False


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained generator and where it comes from.

    Attributes:
        generator: in eval mode, on the CPU.
        training: for the manifest.
        class_names: one for each class, or none.
        description: what it makes, in a sentence.
    """

    generator: Generator
    training: Training
    class_names: tuple[str, ...]
    description: str


class RunFolder:
    """Writes a run folder; every file but metrics.jsonl appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in this folder, which it makes if need be.

        Raises:
            TrainingError: if one is doing so, or the folder cannot be written.
        """
        try:
            lock = try_lock(self.path / LOCK)
        except BlockingIOError:
            raise TrainingError(
                f"another process is training in {self.path}; wait for its end or choose another --out"
            ) from None
        except LockUnsupportedError as error:
            raise TrainingError(f"{error.strerror}; choose an --out on a local disk") from None
        except OSError as error:
            raise TrainingError(
                f"cannot write {self.path}: {error.strerror}; choose another --out"
            ) from None
        with lock:
            remove_leftovers(self.path)
            yield

    def create(self, config: RunConfig) -> None:
        """Makes the folder.

        Raises:
            TrainingError: if it exists and is not empty, or cannot be written.
        """
        check_free(self.path)
        self.write(CONFIG, dump_json(config).encode())

    def write_sample(self, name: str, png: bytes) -> None:
        """Writes one picture into samples/."""
        self.write(f"{SAMPLES}/{name}.png", png)

    def write_weights(
        self, name: str, network: torch.nn.Module, *, step: int, images_seen: int
    ) -> None:
        """Writes the weights of a network, with how far it was trained in the metadata."""
        self.write(name, pack(network.state_dict(), {"step": step, "images_seen": images_seen}))

    def write(self, name: str, data: bytes) -> None:
        """Puts a file in its place; see `write_file`."""
        write_file(self.path / name, data)


def check_free(path: Path) -> None:
    """Checks that a run folder can be made there.

    Raises:
        TrainingError: if it is a file, or a folder that is not empty.
    """
    try:
        taken = path.is_dir() and any(
            file.suffix != ".part" and file.name != LOCK for file in path.iterdir()
        )
        is_file = path.exists() and not path.is_dir()
    except OSError as error:
        raise TrainingError(f"cannot use {path!s:.200} as a run folder: {error.strerror}") from None
    if taken:
        raise TrainingError(f"{path} exists and is not empty; choose another --out")
    if is_file:
        raise TrainingError(f"{path} is a file; choose another --out")


def read_config(folder: Path) -> RunConfig:
    """Reads config.json of a run folder.

    Raises:
        TrainingError: if it is no run folder, or one of another release.
        SchemaError: if config.json is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise TrainingError(f"{folder} is no run folder: it has no {CONFIG}; dcgan-train makes one")
    try:
        return parse_config(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"cannot read {path}: {error}") from None


def parse_config(text: str, where: str) -> RunConfig:
    """Reads the text of a config.json.

    Raises:
        SchemaError: if it is damaged, or that of another release.
    """
    return parse_json(RunConfig, text, where, SCHEMA_VERSION)


def read_run(folder: Path) -> Run:
    """Reads a trained generator.

    Raises:
        TrainingError: if the folder is none of a run, the weights are missing, damaged or not finite, or do not fit
            the recipe in config.json.
        SchemaError: if config.json is damaged.
    """
    config = read_config(folder)
    generator = Generator(config.recipe.generator)
    facts = _load(generator, folder / GENERATOR)
    changes = recipe_changes(config.recipe, images=config.data.images, planned_steps=config.steps)
    training = Training(
        recipe=config.recipe.name,
        data=f"{config.data.name}, {config.data.images:,} images",
        data_sha256=config.data.sha256,
        images_seen=facts["images_seen"],
        seed=config.seed,
        hardware=config.hardware,
        commit=config.commit,
        steps=facts.get("step"),
        planned_steps=config.steps,
        changes=changes,
    )
    return Run(
        generator=generator.eval().requires_grad_(False),
        training=training,
        class_names=config.data.class_names if config.recipe.generator.classes else (),
        description=config.recipe.description,
    )


def _load(generator: Generator, path: Path) -> dict[str, int]:
    """Loads all weights, and returns how far they were trained: step and images_seen."""
    if not path.is_file():
        raise TrainingError(f"{path} is missing: the run has not saved its generator yet")
    tensors, facts = unpack(path)
    if "images_seen" not in facts:
        raise TrainingError(
            f"{path} does not tell how many images it has seen; dcgan-train writes files that do"
        )
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).partition("\n\t")[2].partition("\n")[0]
        raise TrainingError(f"{path} does not fit the recipe in {CONFIG}: {first:.200}") from None
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise TrainingError(
            f"{path} has weights that are not finite, in {broken[0]}; train again with a lower rate"
        )
    return facts
