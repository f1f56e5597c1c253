"""The values in which a run differs from its recipe."""

from __future__ import annotations

import json

from dcgan.core.origin import RecipeChange
from dcgan.training.config import Recipe
from dcgan.training.recipe_files import load_recipe, recipe_names
from dcgan.training.recipe_values import recipe_values


def recipe_changes(
    used: Recipe, *, images: int, planned_steps: int, precision: str
) -> tuple[RecipeChange, ...] | None:
    """Compares what a run used with the shipped recipe of that name.

    Args:
        used: the recipe in the run's configuration.
        images: in the data set, for which a recipe may turn augmentation off.
        planned_steps: of the run.
        precision: of the run, "fp32" or "bf16"; a recipe may require one.

    Returns:
        One entry for each value that differs, `steps` among them; None if no recipe of that name is
        shipped, so that there is nothing to compare with.
    """
    if used.name not in recipe_names():
        return None

    recipe = load_recipe(used.name).for_images(images)
    values = recipe_values(used)
    expected = recipe_values(recipe)
    if recipe.precision != "auto":
        values["precision"] = precision
    values["steps"] = planned_steps
    expected["steps"] = recipe.epochs * recipe.steps_per_epoch(images)

    return tuple(
        RecipeChange(key=key, value=json.dumps(value), recipe=json.dumps(expected.get(key)))
        for key, value in values.items()
        if value != expected.get(key)
    )
