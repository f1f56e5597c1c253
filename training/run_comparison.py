"""Checks that a run is resumed, or trained by several processes, with the same options."""

from __future__ import annotations

from dcgan.core.schema import dump_json
from dcgan.training.config import Recipe
from dcgan.training.distributed import DistributedContext
from dcgan.training.errors import TrainingError
from dcgan.training.recipe_values import first_difference, recipe_values
from dcgan.training.run_config import CONFIG, DataFacts, RunConfig, parse_config


def check_resumable(saved: RunConfig, config: RunConfig) -> None:
    """Checks that a run is resumed with the images and options with which it was started.

    Other hardware and another release are allowed; they may change the last bits.

    Raises:
        TrainingError: names the first difference.
    """
    if saved.data.sha256 != config.data.sha256:
        raise TrainingError(
            f"the run was started with the images of {_describe(saved.data)}, not "
            f"{_describe(config.data)}; give those images, or another --out"
        )
    if saved.steps != config.steps:
        raise TrainingError(
            f"the run was started with steps = {saved.steps}, not {config.steps}, and its learning "
            "rates depend on them; resume it without --steps and --epochs, or start a new run from "
            "its networks, with --init-from and another --out"
        )
    refuse_to_resume(first_difference(_determining(saved), _determining(config)))


def check_same_recipe(saved: RunConfig, recipe: Recipe) -> None:
    """Checks that a run is resumed with the recipe with which it was started.

    Raises:
        TrainingError: names the first difference.
    """
    refuse_to_resume(first_difference(_values(saved.recipe), _values(recipe)))


def check_processes_agree(context: DistributedContext, config: RunConfig) -> None:
    """Checks that every process of a distributed run trains the same as the main process.

    Raises:
        TrainingError: in a process that does not; names the first difference.
    """
    text = context.broadcast_text(dump_json(config))
    main_config = config if text is None else parse_config(text, CONFIG)
    difference = first_difference(_determining(config), _determining(main_config))
    if difference is not None:
        raise TrainingError(
            f"process {context.rank} of this run differs from process 0: {difference}; "
            "give all of them the same images and options"
        )


def _determining(config: RunConfig) -> dict[str, object]:
    """Returns the values that have to be equal for the same run; data by content, not by path."""
    values = _values(config.recipe)
    values["data digest"] = config.data.sha256
    values["data class_names"] = config.data.class_names
    values["init_from"] = config.init_from and config.init_from.checkpoint_sha256
    for name in ("seed", "steps", "device", "precision", "deterministic"):
        values[name] = getattr(config, name)
    return values


def _values(recipe: Recipe) -> dict[str, object]:
    return {f"recipe {key}": value for key, value in recipe_values(recipe).items()}


def refuse_to_resume(difference: str | None) -> None:
    """Raises a TrainingError that names a difference between a run and its options, if any."""
    if difference is not None:
        raise TrainingError(
            f"the run was started with {difference}; resume it with the same options, or choose "
            "another --out"
        )


def _describe(data: DataFacts) -> str:
    return (
        f"{data.name} ({data.images} of {data.image_size} x {data.image_size}, "
        f"digest {data.sha256:.12})"
    )
