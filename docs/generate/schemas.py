"""Reference of documents and recipes, from the dataclasses that read and write them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from typing import Any

from dcgan.core.schema import key_of
from dcgan.training.config import Recipe
from dcgan.training.recipe_files import RECIPES, load_recipe
from dcgan.training.run_config import RunConfig
from dcgan.zoo.manifest import Manifest
from docs.generate.markdown import cell, code, table

_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def manifest_schema() -> str:
    """Returns the keys of manifest.json."""
    return _document(Manifest)


def run_config_schema() -> str:
    """Returns the keys of config.json, but for those of the recipe."""
    return _document(RunConfig, skip=(Recipe,))


def recipe_keys() -> str:
    """Returns every key of a recipe: its type, default and meaning."""
    return table(["key", "type", "default", "meaning"], _recipe_rows(Recipe, ""))


def shipped_recipes() -> str:
    """Returns a table of the recipes that come with the package."""
    rows = []
    for path in sorted(RECIPES.glob("*.toml")):
        recipe = load_recipe(path.stem)
        size = recipe.generator.image_size
        rows.append(
            [
                code(path.stem),
                f"{size}x{size}{'' if recipe.generator.channels == 3 else ', grey'}",
                str(recipe.generator.width),
                f"{recipe.discriminator.width}, {_norm(recipe)}",
                recipe.loss,
                f"{recipe.generator_adam.rate:g}, {recipe.discriminator_adam.rate:g}",
                cell(recipe.description),
            ]
        )
    head = ["recipe", "image", "G's width", "D's width and norm", "loss", "rates of G, D", "makes"]
    return table(head, rows)


def _norm(recipe: Recipe) -> str:
    norm = recipe.discriminator.norm
    return "no norm" if norm == "none" else f"{norm} norm"


def _document(root: type, skip: tuple[type, ...] = ()) -> str:
    """Returns a section with a table of keys for a dataclass and each one that it refers to."""
    sections = []
    for record in _reachable(root, skip):
        about = _about(record)
        rows = [
            [code(key_of(field)), _type_name(hint, root), cell(about.get(field.name, ""))]
            for field, hint in _fields(record)
        ]
        summary = cell((inspect.getdoc(record) or "").partition("\n\n")[0])
        sections.append(
            f"({_label(record, root)})=\n### {record.__name__}\n\n{summary}\n\n"
            + table(["key", "type", "meaning"], rows)
        )
    return "\n".join(sections)


def _recipe_rows(record: type, prefix: str) -> list[list[str]]:
    rows = []
    about = _about(record)
    for field, hint in _fields(record):
        name = f"{prefix}{key_of(field)}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            rows += _recipe_rows(hint, f"{name}.")
        elif name != "name":
            required = field.default is dataclasses.MISSING
            default = "required" if required else code(_toml(field.default))
            meaning = about.get(field.name, "")
            rows.append([code(name), _type_name(hint, Recipe), default, cell(meaning)])
    return rows


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _fields(record: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(record)
    return [(field, hints[field.name]) for field in dataclasses.fields(record)]


def _reachable(record: type, skip: tuple[type, ...]) -> list[type]:
    """Returns a dataclass and those that its fields refer to, in order of appearance."""
    found = [record]
    for _, hint in _fields(record):
        for inner in _dataclasses_in(hint):
            if inner not in skip:
                found += [item for item in _reachable(inner, skip) if item not in found]
    return found


def _dataclasses_in(hint: Any) -> list[type]:  # noqa: ANN401 - a type expression
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    return [inner for part in typing.get_args(hint) for inner in _dataclasses_in(part)]


def _label(record: type, root: type) -> str:
    """Returns the label of a record's section; several documents may have such a record."""
    return f"{root.__name__}-{record.__name__}-keys".lower()


def _type_name(hint: Any, root: type) -> str:  # noqa: ANN401 - a type expression
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_name(arguments[0], root)}"
    if typing.get_origin(hint) is dict:
        return f"table of {_type_name(arguments[1], root)}"
    if arguments:
        return " or ".join(_type_name(part, root) for part in arguments)
    if hint is Recipe:
        return "[Recipe](recipes.md#keys)"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{hint.__name__}](#{_label(hint, root)})"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _about(record: type) -> dict[str, str]:
    """Returns what the section Attributes of a docstring says about each field."""
    section = (inspect.getdoc(record) or "").partition("Attributes:\n")[2]
    entries = re.split(r"^ {4}(\w+): ", section, flags=re.MULTILINE)[1:]
    return dict(zip(entries[::2], entries[1::2], strict=True))
