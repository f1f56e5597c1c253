"""The values in which a run differs from its recipe."""

from __future__ import annotations

import json

from dcgan.core.origin import RecipeChange
from dcgan.core.schema import dump_json
from dcgan.training.config import Recipe, load_recipe, recipe_names


def recipe_changes(
    used: Recipe, *, images: int, planned_steps: int
) -> tuple[RecipeChange, ...] | None:
    """Compares what a run used with the shipped recipe of that name.

    Args:
        used: the recipe in the run's configuration.
        images: in the data set, for which a recipe may turn augmentation off.
        planned_steps: of the run.

    Returns:
        One entry for each value that differs, `steps` among them; None if no recipe of that name is
        shipped, so that there is nothing to compare with.
    """
    if used.name not in recipe_names():
        return None

    recipe = load_recipe(used.name).for_images(images)
    values = _flatten(json.loads(dump_json(used)))
    expected = _flatten(json.loads(dump_json(recipe)))
    values["steps"] = planned_steps
    expected["steps"] = recipe.epochs * recipe.steps_per_epoch(images)

    return tuple(
        RecipeChange(key=key, value=json.dumps(value), recipe=json.dumps(expected.get(key)))
        for key, value in values.items()
        if value != expected.get(key)
    )


def _flatten(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Returns the values of nested tables by dotted key."""
    values: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            values |= _flatten(value, f"{prefix}{key}.")
        else:
            values[prefix + key] = value
    return values
