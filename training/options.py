"""Command-line options of a run, and the RunConfig that they resolve to."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.core.origin import ParentRun
from dcgan.core.versions import library_versions, project_commit
from dcgan.training.config import Recipe
from dcgan.training.data.color import WHITE, parse_background
from dcgan.training.data.dataset import Dataset
from dcgan.training.device import (
    LIBRARIES,
    describe_hardware,
    resolve_device,
    resolve_precision,
    resolve_switches,
)
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.errors import TrainingError
from dcgan.training.parent_run import Parent, check_same_shape, inherit_recipe
from dcgan.training.recipe_files import change_recipe, load_recipe, recipe_names
from dcgan.training.run_comparison import check_same_recipe, refuse_to_resume
from dcgan.training.run_config import SCHEMA_VERSION, DataFacts, RunConfig

DEFAULT_RECIPE = "dcgan64"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of `dcgan-train`; None where they are not given.

    Attributes:
        recipe: name of a shipped recipe, or path of a .toml file.
        changes: assignments such as "generator.width=32".
        steps: number of steps.
        epochs: number of passes over the data.
        seed: of all random numbers.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "fp32" or "bf16".
        deterministic: on a GPU, use only kernels that give the same bits each time.
        background: color on which transparent images are laid.
    """

    recipe: str | None
    changes: tuple[str, ...]
    steps: int | None
    epochs: int | None
    seed: int | None
    device: str
    precision: str | None
    deterministic: bool = False
    background: str | None = None

    def __post_init__(self) -> None:
        if self.steps and self.epochs:
            raise TrainingError("--steps and --epochs exclude each other; give one of them")

    def resolve_recipe(self, saved: RunConfig | None, parent: Parent | None = None) -> Recipe:
        """Reads the recipe, or takes that of the resumed or the parent run if none is given.

        Args:
            saved: configuration of the run to resume, if there is one.
            parent: run from whose networks a new run begins, if there is one.

        Raises:
            TrainingError: if it differs from the recipe of the resumed run, or does not fit the
                networks of the parent run; see also `load_recipe`.
        """
        if saved is None and parent is not None:
            if self.recipe is None:
                recipe = inherit_recipe(parent.config, self.changes)
            else:
                recipe = load_recipe(self.recipe, self.changes)
            check_same_shape(recipe, parent.config)
            return recipe
        if saved is not None and self.recipe is None and not self.changes:
            return saved.recipe

        # A run with a recipe file of the user's does not know the path of that file.
        default = DEFAULT_RECIPE
        if saved is not None and saved.recipe.name in recipe_names():
            default = saved.recipe.name
        if saved is not None and saved.init_from is not None and self.recipe is None:
            recipe = change_recipe(saved.recipe, self.changes)  # of the parent run, changed
        else:
            recipe = load_recipe(self.recipe or default, self.changes)

        if saved is not None:
            recipe = recipe.for_images(saved.data.images)
            check_same_recipe(saved, recipe)
        return recipe

    def resolve_background(self, saved: RunConfig | None) -> str:
        """Returns the color on which transparent images are laid.

        Args:
            saved: configuration of the run to resume, if there is one.

        Raises:
            TrainingError: if it is no color, or differs from that of the resumed run.
        """
        color = None if self.background is None else parse_background(self.background)
        if saved is None:
            return color or WHITE
        if color not in (None, saved.data.background):
            refuse_to_resume(f"background = {saved.data.background}, not {color}")
        return saved.data.background

    def resolve_config(
        self,
        recipe: Recipe,
        dataset: Dataset,
        saved: RunConfig | None,
        context: DistributedContext = SINGLE_PROCESS,
        parent: Parent | None = None,
    ) -> RunConfig:
        """Resolves everything that determines the run.

        Options that are not given are those of the resumed run, or the defaults.

        Args:
            recipe: see `resolve_recipe`.
            dataset: decoded images.
            saved: configuration of the run to resume, if there is one.
            context: the processes that train together.
            parent: run from whose networks the run begins, if it is given.

        Raises:
            TrainingError: if the images do not suit the recipe, or there is no such device.
        """
        _check_batch_size(recipe, dataset)
        _check_classes(recipe, dataset)
        _check_shards(recipe, len(dataset.images), context)

        recipe = recipe.for_images(len(dataset.images))
        device = resolve_device(self.device)
        precision = resolve_precision(
            self.precision or (saved.precision if saved else "auto"), device, recipe
        )
        steps = self._resolve_steps(recipe, len(dataset.images), saved)
        deterministic = self.deterministic or (saved is not None and saved.deterministic)
        switches = resolve_switches(
            recipe,
            device,
            precision,
            steps=steps,
            deterministic=deterministic,
            processes=context.world_size,
        )
        if saved is not None and context.world_size == 1:
            switches = saved.switches  # another release may choose others, with other last bits
        return RunConfig(
            schema_version=SCHEMA_VERSION,
            recipe=recipe,
            data=self._describe_data(dataset, saved),
            seed=self._resolve_seed(saved),
            steps=steps,
            device=device,
            precision=precision,
            hardware=describe_hardware(device, context.world_size),
            versions=library_versions(*LIBRARIES),
            commit=project_commit(),
            deterministic=deterministic,
            init_from=_resolve_parent(saved, parent),
            switches=switches,
        )

    def _resolve_seed(self, saved: RunConfig | None) -> int:
        if self.seed is not None:
            return self.seed
        return saved.seed if saved else 0

    def _describe_data(self, dataset: Dataset, saved: RunConfig | None) -> DataFacts:
        return DataFacts(
            name=dataset.name,
            images=len(dataset.images),
            image_size=dataset.images.shape[1],
            sha256=dataset.sha256,
            class_names=dataset.class_names,
            background=self.resolve_background(saved),
        )

    def _resolve_steps(self, recipe: Recipe, images: int, saved: RunConfig | None) -> int:
        if self.steps:
            return self.steps
        if saved is not None and not self.epochs:
            return saved.steps
        return (self.epochs or recipe.epochs) * recipe.steps_per_epoch(images)


def _resolve_parent(saved: RunConfig | None, parent: Parent | None) -> ParentRun | None:
    """Returns the run from which a run begins; a resumed run keeps the one that it has."""
    given = None if parent is None else parent.record
    if saved is None:
        return given
    if given is not None and given != saved.init_from:
        raise TrainingError(
            "the run was not started with the networks of this --init-from; leave it out, or "
            "choose another --out"
        )
    return saved.init_from


def _check_batch_size(recipe: Recipe, dataset: Dataset) -> None:
    images = len(dataset.images)
    if images < recipe.batch_size:
        raise TrainingError(
            f"{dataset.name} has fewer images ({images}) than a batch ({recipe.batch_size}); "
            f"add some, or use --set batch_size={images}"
        )


def _check_classes(recipe: Recipe, dataset: Dataset) -> None:
    expected = recipe.generator.classes
    if not expected:
        return
    if dataset.labels_problem is not None:
        raise TrainingError(
            f"the recipe {recipe.name} needs {expected} classes but {dataset.labels_problem}"
        )

    found = dataset.classes
    if expected != found:
        cure = "a recipe without classes"
        if found:
            cure = f"--set generator.classes={found} --set discriminator.classes={found}"
        raise TrainingError(
            f"the recipe {recipe.name} needs {expected} classes but {dataset.name} has {found}; "
            f"use {cure}"
        )


def _check_shards(recipe: Recipe, images: int, context: DistributedContext) -> None:
    last = images % recipe.batch_size
    smallest = recipe.batch_size if recipe.whole_batches or not last else last
    if smallest < context.world_size:
        raise TrainingError(
            f"a batch of {smallest} images is too small for {context.world_size} processes; "
            "use fewer of them, or --set whole_batches=true"
        )
