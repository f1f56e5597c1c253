"""Recipes: everything that decides what a run computes, but for its data and its seed.

A recipe is a TOML file, `recipes/<name>.toml` or one of the user's own; `--set key=value` changes one value of it.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dcgan.core.schema import parse
from dcgan.training.errors import TrainingError
from dcgan.training.models.networks import DiscriminatorConfig, GeneratorConfig

SHIPPED = Path(__file__).parent / "recipes"
"""The recipes that come with the package."""

LOSSES = ("bce", "hinge", "relativistic")
PRECISIONS = ("auto", "fp32", "bf16")
AUGMENTATIONS = ("colour", "translation", "cutout")


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Settings of one optimizer (Kingma and Ba 2015)."""

    rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        _check(
            0 < self.rate <= 1, f"a learning rate must be above 0 and at most 1, not {self.rate}"
        )
        betas = (self.beta1, self.beta2)
        _check(
            all(0 <= beta < 1 for beta in betas),
            f"the betas of Adam must be at least 0 and below 1, not {betas}",
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a generator is trained.

    Attributes:
        name: of the file it comes from, without its ending.
        description: what the trained model makes, in a sentence; goes into the manifest.
        batch_size: real images in a step, and as many generated ones.
        epochs: passes over the data, unless the command line says otherwise.
        whole_batches: leave out the rest of an epoch that does not fill a batch.
        loss: one of LOSSES.
        flip: mirror half of the real images, at random.
        augment: any of AUGMENTATIONS, for real and generated images alike (DiffAugment).
        augment_probability: share of the images that are changed so.
        augment_below: data sets of so many images or more are not augmented; 0 for no such bound.
        average_images: half-life, in images, of the moving average of G's weights that becomes the released
            generator; 0 releases the trained weights themselves.
        decay_from: share of the run after which both learning rates fall, in a straight line, to 0 at its end.
        r1: weight of the penalty on D's gradients at real images; 0 for none.
        r2: weight of the penalty on D's gradients at generated images; 0 for none.
        precision: "fp32" or "bf16" if it is part of the recipe; "auto" leaves it to the machine and the command line.
        sample_steps: steps from one grid of samples to the next.
        keep_epochs: keep both networks of every so many epochs in epochs/; 0 keeps the last ones only.
    """

    name: str
    description: str
    batch_size: int = 64
    epochs: int = 200
    whole_batches: bool = False
    loss: str = "bce"
    flip: bool = False
    augment: tuple[str, ...] = ()
    augment_probability: float = 1.0
    augment_below: int = 0
    average_images: int = 0
    decay_from: float = 1.0
    r1: float = 0.0
    r2: float = 0.0
    precision: str = "auto"
    sample_steps: int = 100
    keep_epochs: int = 0
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    generator_adam: Adam = field(default_factory=Adam)
    discriminator_adam: Adam = field(default_factory=Adam)

    def __post_init__(self) -> None:
        _check(
            1 <= self.batch_size <= 2**16, f"batch_size must be 1 to 65536, not {self.batch_size}"
        )
        _check(self.epochs >= 1, f"epochs must be 1 or more, not {self.epochs}")
        _check(self.sample_steps >= 1, f"sample_steps must be 1 or more, not {self.sample_steps}")
        _check(self.keep_epochs >= 0, f"keep_epochs must be 0 or more, not {self.keep_epochs}")
        _check_choice("loss", self.loss, LOSSES)
        _check_choice("precision", self.precision, PRECISIONS)
        for name in self.augment:
            _check_choice("augment", name, AUGMENTATIONS)
        probability = self.augment_probability
        _check(0 <= probability <= 1, f"augment_probability must be 0 to 1, not {probability}")
        _check(
            self.augment_below >= 0, f"augment_below must be 0 or more, not {self.augment_below}"
        )
        _check(
            self.average_images >= 0, f"average_images must be 0 or more, not {self.average_images}"
        )
        _check(0 <= self.decay_from <= 1, f"decay_from must be 0 to 1, not {self.decay_from}")
        _check(
            min(self.r1, self.r2) >= 0, f"r1 and r2 must be 0 or more, not {self.r1} and {self.r2}"
        )
        for name in ("image_size", "channels", "classes"):
            ours, theirs = getattr(self.generator, name), getattr(self.discriminator, name)
            _check(
                ours == theirs,
                f"generator.{name} is {ours} and discriminator.{name} is {theirs}; make them equal",
            )

    def for_images(self, images: int) -> Recipe:
        """What the recipe means for a data set of so many images."""
        many = 0 < self.augment_below <= images
        return replace(self, augment=()) if many else self

    def rate_factor(self, step: int, steps: int) -> float:
        """What both learning rates are multiplied with in step `step` (from 0) of `steps`."""
        start = self.decay_from * steps
        return 1.0 if step < start else (steps - step) / max(steps - start, 1.0)

    def steps_per_epoch(self, images: int) -> int:
        """Number of batches in one pass over that many images."""
        return (
            images // self.batch_size if self.whole_batches else math.ceil(images / self.batch_size)
        )


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_recipe(name: str, changes: Iterable[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name: of a shipped recipe, or the path of a .toml file.
        changes: assignments such as "generator.width=32", each in the syntax of TOML; bare words are taken as text.

    Raises:
        TrainingError: if there is no such recipe, or a value is out of its range.
        SchemaError: if a key is unknown or a value has the wrong type.
    """
    path = Path(name) if name.endswith(".toml") else _find(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"cannot read the recipe {path}: {error}") from None
    for change in map(_parse_change, changes):
        if "name" in change:
            raise TrainingError(
                "--set cannot change the name of a recipe: it is that of its file; rename a copy of it"
            )
        _merge(table, change)
    return parse(Recipe, {**table, "name": path.stem}, f"recipe {path.stem}")


def _find(name: str) -> Path:
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise TrainingError(f"there is no recipe {name!r:.60}; {hint}")
    return SHIPPED / f"{name}.toml"


def _parse_change(change: str) -> dict[str, object]:
    key, equals, value = change.partition("=")
    for text in (change, f'{key}="{value}"'):
        try:
            if equals and "\n" not in change:
                return tomllib.loads(text)
        except (
            ValueError,
            RecursionError,
        ):  # not TOML, a number of thousands of digits, a list of thousands of lists
            continue
    raise TrainingError(f"--set takes key=value, such as generator.width=32, not {change!r:.60}")


def _merge(table: dict[str, object], change: dict[str, object]) -> None:
    for key, value in change.items():
        known = table.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        else:
            table[key] = value


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it can be {', '.join(choices)}"
        raise TrainingError(f"{key} cannot be {value!r:.60}; {hint}")


def _check(fits: bool, message: str) -> None:
    if not fits:
        raise TrainingError(message)
