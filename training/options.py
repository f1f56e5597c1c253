"""What the command line asks for, and the configuration that becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from dcgan.core.schema import dump_json
from dcgan.core.versions import library_versions, project_commit
from dcgan.training.config import Recipe, load_recipe, recipe_names
from dcgan.training.data.dataset import Dataset
from dcgan.training.device import (
    LIBRARIES,
    choose_device,
    choose_precision,
    describe_hardware,
)
from dcgan.training.distributed import ALONE, Team
from dcgan.training.errors import TrainingError
from dcgan.training.run_folder import CONFIG, SCHEMA_VERSION, DataFacts, RunConfig, parse_config

DEFAULT_RECIPE = "dcgan64"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Options of `dcgan-train`; None where they are not given."""

    recipe: str | None
    changes: tuple[str, ...]
    steps: int | None
    epochs: int | None
    seed: int | None
    device: str
    precision: str | None
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.steps and self.epochs:
            raise TrainingError("--steps and --epochs exclude each other; give one of them")

    def resolve_recipe(self, saved: RunConfig | None) -> Recipe:
        """Reads the recipe that is asked for; that of the saved run where none is.

        Raises:
            TrainingError: if it is not that of the saved run, or see `load_recipe`.
        """
        if saved is not None and self.recipe is None and not self.changes:
            return saved.recipe
        own = (
            saved is not None and saved.recipe.name not in recipe_names()
        )  # a file of the user's, which is not known
        name = DEFAULT_RECIPE if saved is None or own else saved.recipe.name
        recipe = load_recipe(self.recipe or name, self.changes)
        if saved is not None:
            recipe = recipe.for_images(saved.data.images)
            _refuse(_difference(_values(saved.recipe), _values(recipe)))
        return recipe

    def configure(
        self, recipe: Recipe, dataset: Dataset, saved: RunConfig | None, team: Team = ALONE
    ) -> RunConfig:
        """Decides everything that is still open; what is not given is that of the saved run.

        Raises:
            TrainingError: if there are fewer images than a batch, other classes than the recipe's, or no such device.
        """
        images = len(dataset.images)
        if images < recipe.batch_size:
            raise TrainingError(
                f"{dataset.name} has fewer images ({images}) than a batch takes ({recipe.batch_size}); "
                f"add some, or use --set batch_size={images}"
            )
        recipe = recipe.for_images(images)
        _check_classes(recipe, dataset)
        _check_shares(recipe, images, team)
        device = choose_device(self.device)
        precision = self.precision or (saved.precision if saved else "auto")
        seed = (saved.seed if saved else 0) if self.seed is None else self.seed
        return RunConfig(
            schema_version=SCHEMA_VERSION,
            recipe=recipe,
            data=DataFacts(
                name=dataset.name,
                images=images,
                image_size=dataset.images.shape[1],
                sha256=dataset.sha256,
                class_names=dataset.class_names,
            ),
            seed=seed,
            steps=self._steps(recipe, images, saved),
            device=device,
            precision=choose_precision(precision, device, recipe),
            hardware=describe_hardware(device, team.size),
            versions=library_versions(*LIBRARIES),
            commit=project_commit(),
            deterministic=self.deterministic or (saved.deterministic if saved else False),
        )

    def _steps(self, recipe: Recipe, images: int, saved: RunConfig | None) -> int:
        if self.steps:
            return self.steps
        if saved is not None and not self.epochs:
            return saved.steps
        return (self.epochs or recipe.epochs) * recipe.steps_per_epoch(images)


def check_same(saved: RunConfig, config: RunConfig) -> None:
    """Checks that a run can go on as it began; another machine or release may change its last bits, and is allowed.

    Raises:
        TrainingError: names what differs.
    """
    if saved.data.sha256 != config.data.sha256:
        ours, theirs = (
            f"{data.name} ({data.images} of {data.image_size} x {data.image_size}, digest {data.sha256:.12})"
            for data in (saved.data, config.data)
        )
        raise TrainingError(
            f"the run was begun with the images of {ours}, not {theirs}; give those, or another --out"
        )
    _refuse(_difference(_decisive(saved), _decisive(config)))


def check_team(team: Team, config: RunConfig) -> None:
    """Checks that every process of a team trains the same as the first one.

    Raises:
        TrainingError: in one that does not, names what differs.
    """
    text = team.text_of_first(dump_json(config))
    first = config if text is None else parse_config(text, CONFIG)
    difference = _difference(_decisive(config), _decisive(first))
    if difference is not None:
        raise TrainingError(
            f"process {team.rank} of this run is another than the first one: {difference}; "
            "give all of them the same images and options"
        )


def _decisive(config: RunConfig) -> dict[str, object]:
    """What must be the same for the same run; data by their content, wherever they lie."""
    values = _values(config.recipe)
    values["data digest"] = config.data.sha256
    values["data class_names"] = config.data.class_names
    return values | {
        what: getattr(config, what)
        for what in ("seed", "steps", "device", "precision", "deterministic")
    }


def _values(recipe: Recipe) -> dict[str, object]:
    return {f"recipe {key}": value for key, value in _flatten(asdict(recipe))}


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _difference(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str | None:
    """The first thing that differs, with both values."""
    for name, value in ours.items():
        if value != theirs[name]:
            return f"{name} = {value!s:.40}, not {theirs[name]!s:.40}"
    return None


def _check_classes(recipe: Recipe, dataset: Dataset) -> None:
    wanted = recipe.generator.classes
    found = (
        0
        if dataset.labels is None
        else max(int(dataset.labels.max()) + 1, len(dataset.class_names))
    )
    if wanted and wanted != found:
        cure = (
            f"--set generator.classes={found} --set discriminator.classes={found}"
            if found
            else "a recipe without"
        )
        raise TrainingError(
            f"the recipe {recipe.name} wants {wanted} classes but {dataset.name} has {found}; use {cure}"
        )


def _check_shares(recipe: Recipe, images: int, team: Team) -> None:
    last = images % recipe.batch_size
    smallest = recipe.batch_size if recipe.whole_batches or not last else last
    if smallest < team.size:
        raise TrainingError(
            f"a batch of {smallest} images is too few for {team.size} processes; "
            "use fewer of them, or --set whole_batches=true"
        )


def _refuse(difference: str | None) -> None:
    if difference is not None:
        raise TrainingError(
            f"the run was begun with {difference}; resume it with what it was begun with, or choose another --out"
        )
