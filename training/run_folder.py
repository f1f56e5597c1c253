"""The run folder: the files that a training run writes, and how a trained generator is read back.

config.json                  what determines the run: recipe, data, seed, precision, versions
metrics.jsonl                one row of metrics for each step
history.png                  its curves, drawn at the end
film.webp                    an animation of the sample grids, made at the end
samples/                     real.png, step-000100.png ..., epoch-0001.png ...
epochs/0001/ ...             both networks after an epoch, if the recipe keeps them
generator.safetensors        the generator to export, with the steps and images it has seen
discriminator.safetensors    the discriminator
checkpoint.safetensors       where --resume continues
best.safetensors             the generator with the smallest distance so far (--evaluate-every),
                             also of steps that were abandoned by a rollback
good.safetensors             the last checkpoint of the healthy run
detours.json                 when and why the run was rolled back (--on-collapse rollback)
metrics.abandoned-1.jsonl    the rows of the steps that were abandoned by the first rollback
tensorboard/                 metrics and grids as TensorBoard events
skipped.txt                  the images that --skip-corrupt left out
.lock                        locked by the process that trains here
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.core.atomic import is_special, remove_leftovers, resolves_below
from dcgan.core.locks import LockUnsupportedError, try_lock
from dcgan.core.origin import RecipeChange, Training
from dcgan.core.schema import dump_json
from dcgan.training.errors import TrainingError
from dcgan.training.files import write_file
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.networks import Generator
from dcgan.training.models.tensor_header import same_layout
from dcgan.training.recipe_changes import recipe_changes
from dcgan.training.run_config import (
    CONFIG,
    RunConfig,
    describe_data,
    read_config,
)
from dcgan.training.tensor_file import encode_tensors, read_layout, read_tensors

METRICS = "metrics.jsonl"
CURVES = "history.png"
ANIMATION = "film.webp"
SAMPLES = "samples"
SKIPPED = "skipped.txt"
LOCK = ".lock"
GENERATOR = "generator.safetensors"
BEST = "best.safetensors"
DISCRIMINATOR = "discriminator.safetensors"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained generator and where it comes from.

    Attributes:
        generator: in eval mode, on the CPU.
        training: for the manifest.
        class_names: one for each class, or none.
        description: what it generates, in a sentence.
    """

    generator: Generator
    training: Training
    class_names: tuple[str, ...]
    description: str


class RunFolder:
    """Writes the files of a run; each but metrics.jsonl atomically.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from training in this folder, which is created if need be.

        Raises:
            TrainingError: if another process holds the lock, or the folder cannot be written.
        """
        try:
            lock = try_lock(self.path / LOCK)
        except BlockingIOError:
            raise TrainingError(
                f"another process is training in {self.path}; wait until it ends or choose "
                "another --out"
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

    def check_links(self) -> None:
        """Checks that the folder, which is untrusted, has only files and folders of its own.

        Raises:
            TrainingError: names the first link that leads out of it, FIFO, device or socket.
        """
        root = self.path.resolve()
        for path in sorted(self.path.rglob("*")):
            if is_special(path):
                raise TrainingError(
                    f"{path} is neither a file nor a folder; remove it, or choose another --out"
                )
            if path.is_symlink() and not resolves_below(path, root):
                raise TrainingError(
                    f"{path} is a link that leads out of the run folder, where files would be "
                    "replaced; put a copy in its place, or choose another --out"
                )

    def create(self, config: RunConfig) -> None:
        """Writes config.json of a new run.

        Raises:
            TrainingError: if the folder is not empty, or cannot be written.
        """
        check_free(self.path)
        self.write(CONFIG, dump_json(config).encode())

    def write_sample(self, name: str, png: bytes) -> None:
        """Writes an image into samples/."""
        self.write(f"{SAMPLES}/{name}.png", png)

    def write_weights(
        self, name: str, network: torch.nn.Module, *, step: int, images_seen: int
    ) -> None:
        """Writes the weights of a network, with steps and images seen in the metadata."""
        self.write_tensors(name, network.state_dict(), step=step, images_seen=images_seen)

    def write_tensors(
        self, name: str, tensors: Mapping[str, torch.Tensor], *, step: int, images_seen: int
    ) -> None:
        """Writes the tensors of a network's `state_dict`; see `write_weights`."""
        self.write(name, encode_tensors(tensors, {"step": step, "images_seen": images_seen}))

    def write(self, name: str, data: bytes) -> None:
        """Writes a file atomically; see `write_file`."""
        write_file(self.path / name, data)


def check_free(path: Path) -> None:
    """Checks that a run folder can be created at a path.

    Raises:
        TrainingError: if the path is a file, or a folder that is not empty.
    """
    try:
        occupied = path.is_dir() and any(
            file.suffix != ".part" and file.name != LOCK for file in path.iterdir()
        )
        is_file = path.exists() and not path.is_dir()
    except OSError as error:
        raise TrainingError(f"cannot use {path!s:.200} as a run folder: {error.strerror}") from None

    if occupied:
        advice = "choose another --out"
        if (path / CONFIG).is_file():
            advice += ", or continue its run with --resume"
        raise TrainingError(f"{path} exists and is not empty; {advice}")
    if is_file:
        raise TrainingError(f"{path} is a file; choose another --out")


def read_run(folder: Path, *, best: bool = False) -> Run:
    """Reads a trained generator.

    Args:
        folder: of the run.
        best: read the generator with the smallest distance from the training images, and not the
            last one.

    Raises:
        TrainingError: if it is not a run folder, or the weights are missing, damaged, not finite,
            or do not fit the recipe in config.json.
        SchemaError: if config.json is damaged, or another release wrote it.
    """
    config = read_config(folder)
    if best and not (folder / BEST).is_file():
        raise TrainingError(
            f"{folder} has no {BEST}: no step was evaluated; train with --evaluate-every, or "
            "export the last checkpoint"
        )
    weights = folder / (BEST if best else GENERATOR)
    generator, facts = _load_generator(config.recipe.generator, weights)

    changes = recipe_changes(
        config.recipe,
        images=config.data.images,
        planned_steps=config.steps,
        precision=config.precision,
    )
    planned_steps: int | None = config.steps
    if best:
        # The run was not stopped there: later checkpoints were worse.
        chosen = f"the best of {config.steps:,} steps by KD-Lite0, step {facts['step']:,}"
        changes = (
            *(changes or ()),
            RecipeChange(key="checkpoint", value=chosen, recipe="the last"),
        )
        planned_steps = None
    training = Training(
        recipe=config.recipe.name,
        data=describe_data(config.data),
        data_sha256=config.data.sha256,
        images_seen=facts["images_seen"],
        seed=config.seed,
        hardware=config.hardware,
        commit=config.commit,
        steps=facts["step"],
        planned_steps=planned_steps,
        changes=changes,
        init_from=config.init_from,
    )
    return Run(
        generator=generator.eval().requires_grad_(False),
        training=training,
        class_names=config.data.class_names if config.recipe.generator.classes else (),
        description=config.recipe.description,
    )


def _load_generator(config: GeneratorConfig, path: Path) -> tuple[Generator, dict[str, int]]:
    """Builds a generator with the weights of a file; returns the facts stored with them, too."""
    if not path.is_file():
        raise TrainingError(f"{path} is missing: the run has not saved its generator yet")

    _check_layout(config, path)
    tensors, facts = read_tensors(path)
    if not {"step", "images_seen"} <= facts.keys():
        raise TrainingError(
            f"{path} does not say how long it was trained; dcgan-train writes files that do"
        )

    generator = Generator(config)
    generator.load_state_dict(tensors)
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise TrainingError(
            f"{path} has weights that are not finite, in {broken[0]}; train again with a lower "
            "learning rate"
        )
    return generator, facts


def _check_layout(config: GeneratorConfig, path: Path) -> None:
    """Compares shapes and types without memory: both files can ask for gigabytes.

    Raises:
        TrainingError: names the first tensor that differs.
    """
    layout = read_layout(path)
    with torch.device("meta"):
        generator = Generator(config)
    expected = generator.state_dict()
    try:
        generator.load_state_dict(layout, assign=True)
    except RuntimeError as error:
        first = str(error).partition("\n\t")[2].partition("\n")[0]
        raise TrainingError(f"{path} does not fit the recipe in {CONFIG}: {first:.200}") from None

    if not same_layout(layout, expected):
        raise TrainingError(f"{path} does not fit the recipe in {CONFIG}: its types differ")
