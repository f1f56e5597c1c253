"""config.json of a run folder: everything that determines the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dcgan.core.bounded import read_bounded
from dcgan.core.origin import ParentRun
from dcgan.core.schema import SchemaError, parse_json
from dcgan.training.config import Recipe
from dcgan.training.data.color import WHITE
from dcgan.training.errors import TrainingError
from dcgan.training.switches import StepSwitches

SCHEMA_VERSION = 1
CONFIG = "config.json"

_MAX_COUNT = 2**63  # of images and steps
_MAX_CONFIG_BYTES = 2**24  # with the names of 65,536 classes


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a run records about its images; see `dcgan.training.data.dataset.Dataset`.

    Attributes:
        name: name of the data set, without a path.
        images: number of images.
        image_size: height and width of the decoded images.
        sha256: digest of images and labels.
        class_names: one for each class, or none.
        background: color on which transparent images were laid.
    """

    name: str
    images: int
    image_size: int
    sha256: str
    class_names: tuple[str, ...]
    background: str = WHITE  # also of runs from before it could be chosen


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run.

    Attributes:
        schema_version: of this document.
        recipe: how the generator is trained.
        data: the images.
        seed: of all random numbers.
        steps: planned number of steps.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".
        hardware: processor that trains, as text.
        versions: of the libraries.
        commit: of this project, if it is known.
        deterministic: on a GPU, use only kernels that give the same bits each time.
        init_from: run from whose networks this one began; None if it began with random weights.
        switches: how steps are computed.
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
    init_from: ParentRun | None = None
    switches: StepSwitches = field(default_factory=StepSwitches)


def read_config(folder: Path) -> RunConfig:
    """Reads config.json of a run folder.

    Raises:
        TrainingError: if it is not a run folder.
        SchemaError: if config.json is damaged, or another release wrote it.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise TrainingError(
            f"{folder} is not a run folder: it has no {CONFIG}; create one with dcgan-train"
        )
    try:
        text = read_bounded(path, _MAX_CONFIG_BYTES).decode("utf-8")
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TrainingError(f"cannot read {path}: it is not UTF-8") from None
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> RunConfig:
    """Parses the text of a config.json.

    Args:
        text: the document.
        where: what to call it in errors.

    Raises:
        SchemaError: if it is damaged, or another release wrote it.
    """
    config = parse_json(RunConfig, text, where, SCHEMA_VERSION)
    counts = (config.data.images, config.data.image_size, config.steps)
    fits = all(1 <= count < _MAX_COUNT for count in counts)
    if not fits or config.recipe.steps_per_epoch(config.data.images) < 1:
        raise SchemaError(f"{where} has impossible numbers of images or steps")
    return config


def describe_data(data: DataFacts) -> str:
    """Returns what the images are, for a manifest."""
    background = "" if data.background == WHITE else f", transparent pixels on {data.background}"
    return f"{data.name}, {data.images:,} images{background}"
