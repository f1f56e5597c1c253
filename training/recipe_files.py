"""Recipe files: the shipped ones, the user's own, and changes of single values by `--set`."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from dcgan.core.schema import dump_json, explain_syntax_error, parse
from dcgan.training.config import Recipe
from dcgan.training.errors import TrainingError

RECIPES = Path(__file__).parent / "recipes"
"""Folder of the recipes that come with the package."""


def recipe_names() -> list[str]:
    """Returns the names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, changes: Iterable[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name: name of a shipped recipe, or path of a .toml file.
        changes: assignments in TOML syntax, such as "generator.width=32"; the quotes around text
            may be left out.

    Raises:
        TrainingError: if there is no such recipe, or a value is out of range.
        SchemaError: if a key is unknown or a value has the wrong type.
    """
    path = Path(name) if name.endswith(".toml") else _shipped_path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = explain_syntax_error(error)
        raise TrainingError(f"cannot read the recipe {path}: {reason}") from None

    return _build(table, path.stem, changes)


def change_recipe(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """Returns a recipe with changes; see `load_recipe`."""
    return _build(json.loads(dump_json(recipe)), recipe.name, changes)


def _build(table: dict[str, object], name: str, changes: Iterable[str]) -> Recipe:
    for change in map(_parse_change, changes):
        if "name" in change:
            raise TrainingError(
                "--set cannot change the name of a recipe, which is its file name; copy the file"
            )
        _merge(table, change)

    return parse(Recipe, {**table, "name": name}, f"recipe {name}")


def _shipped_path(name: str) -> Path:
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise TrainingError(f"there is no recipe {name!r:.60}; {hint}")
    return RECIPES / f"{name}.toml"


def _parse_change(change: str) -> dict[str, object]:
    key, equals, value = change.partition("=")
    for text in (change, f'{key}="{value}"'):
        try:
            if equals and "\n" not in change:
                return tomllib.loads(text)
        except (ValueError, RecursionError):
            # Not TOML, a number of thousands of digits, or thousands of nested lists.
            continue
    raise TrainingError(f"--set takes key=value, such as generator.width=32, not {change!r:.60}")


def _merge(table: dict[str, object], change: dict[str, object]) -> None:
    for key, value in change.items():
        old = table.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        else:
            table[key] = value
