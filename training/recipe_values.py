"""The values of a recipe by their dotted keys, and how two sets of values differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from dcgan.core.schema import dump_json
from dcgan.training.config import Recipe


def recipe_values(recipe: Recipe) -> dict[str, object]:
    """Returns the values of a recipe by key, such as "generator.width"."""
    return dict(_flatten(json.loads(dump_json(recipe))))


def first_difference(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str | None:
    """Returns e.g. "generator.width = 64, not 32"; None if no value of ours differs."""
    for name, value in ours.items():
        if value != theirs.get(name):
            return f"{name} = {value!s:.40}, not {theirs.get(name)!s:.40}"
    return None


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
