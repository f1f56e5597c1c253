"""Strict, typed reading and canonical writing of frozen dataclasses, as JSON or TOML values.

Used for manifests, indexes and run configurations. An unknown key, a missing key or a value of
another type is an error that names its place in the document and suggests the most similar known
key.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from dcgan.core.errors import DcganError
from dcgan.core.text import is_utf8, printable

T = TypeVar("T")

_MAX_INTEGER = 2**1000  # below the largest float
_MAX_BITS = 14_280  # of an integer that Python can show, which has at most 4,300 digits
_LONG_NUMBER = "a number of thousands of digits"


class SchemaError(DcganError):
    """A document that does not fit its schema; the message names the place in it."""


def parse(schema: type[T], value: object, where: str = "document") -> T:
    """Builds a dataclass from plain values and checks every type, at any depth.

    Fields may be str, int, float, bool, None, dataclasses, `tuple[X, ...]`, `dict[str, X]` and
    unions of these. The key of a field is its name, or `metadata["key"]` where documents use
    another name. An int is accepted for a float; a bool is not a number; a float must be finite.

    Args:
        schema: the dataclass.
        value: a result of `json.loads` or `tomllib.loads`.
        where: what to call the document in errors.

    Raises:
        SchemaError: at the first value that does not fit.
    """
    return cast(T, _convert(schema, value, where))


def parse_json(schema: type[T], text: str, where: str, schema_version: int | None = None) -> T:
    """Builds a dataclass from JSON text.

    Args:
        schema: the dataclass.
        text: the document. Parsing takes up to 40 times its size in memory: the caller bounds it.
        where: what to call the document in errors.
        schema_version: expected value of the key of that name. It is checked first, because any
            other key may differ in a document of another version.

    Raises:
        SchemaError: if the text is not JSON, repeats a key, has another version, or does not fit.
    """
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, where))
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where} is not valid JSON: {explain_syntax_error(error)}") from None

    found = value.get("schema_version") if isinstance(value, dict) else None
    if isinstance(found, int) and schema_version not in (None, found):
        raise SchemaError(
            f"{where} has schema version {found}, not {schema_version}: "
            "it was written by another release of dcgan-zoo"
        )
    return parse(schema, value, where)


def dump_json(value: object) -> str:
    """Returns a dataclass as JSON, the same text for equal values.

    Fields appear in the order of their definition, those that are None are left out, and the text
    ends with one newline.
    """
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def explain_syntax_error(error: Exception) -> str:
    """Returns why a parser of JSON or TOML refused a text, without Python's advice to programmers.

    Args:
        error: what the parser raised; its limits are RecursionError and a bare ValueError.
    """
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if type(error) is ValueError:
        return "a number in it has thousands of digits"
    return str(error)


def key_of(field: dataclasses.Field[Any]) -> str:
    """Returns the key of a field in documents."""
    return str(field.metadata.get("key", field.name))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((key_of(field), getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: _plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# A type expression such as `tuple[int, ...] | None` has no static type but Any.
def _convert(kind: Any, value: object, where: str) -> object:  # noqa: ANN401
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)

    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        table = _expect(dict, value, where)
        return {
            str(key): _convert(arguments[1], item, f"{where}.{printable(key, 60)}")
            for key, item in table.items()
        }
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(cast(type[Any], kind), value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(kinds: tuple[Any, ...], value: object, where: str) -> object:
    if value is None and types.NoneType in kinds:
        return None

    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) == 1:
        return _convert(kinds[0], value, where)
    for kind in kinds:
        try:
            return _convert(kind, value, where)
        except SchemaError:
            continue
    raise SchemaError(
        f"{where} must be one of {', '.join(_name(kind) for kind in kinds)}, not {_show(value)}"
    )


def _convert_dataclass(schema: type[Any], value: object, where: str) -> object:
    table = _expect(dict, value, where)

    fields = {key_of(field): field for field in dataclasses.fields(schema)}
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            raise SchemaError(
                f"{where} has an unknown key {key!r:.60}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )

    hints = typing.get_type_hints(schema)
    arguments = {}
    for key, field in fields.items():
        if key in table:
            arguments[field.name] = _convert(hints[field.name], table[key], f"{where}.{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"{where} lacks the key {key!r}")
    return schema(**arguments)


def _convert_scalar(kind: type[Any], value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < _MAX_INTEGER else math.inf
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SchemaError(f"{where} must be {_name(kind)}, not {_show(value)}")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise SchemaError(f"{where} must be {_name(kind)}, not {_LONG_NUMBER}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(f"{where} must be a finite number, not {value}")
    if isinstance(value, str) and not is_utf8(value):
        raise SchemaError(f"{where} must be text in Unicode, not {value!r:.60}")
    return value


def _expect(kind: type[T], value: object, where: str) -> T:
    if not isinstance(value, kind):
        raise SchemaError(f"{where} must be {_name(kind)}, not {_show(value)}")
    return value


def _show(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # hexadecimal numbers in TOML have no limit, decimal ones have
        return _LONG_NUMBER


def _unique(pairs: list[tuple[str, object]], where: str) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = ", ".join(key for key, _ in pairs)
        raise SchemaError(f"{where} repeats a key among {printable(keys, 120)}")
    return table


def _name(kind: Any) -> str:  # noqa: ANN401 - see _convert
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a table",
        list: "a list",
    }
    return names.get(kind, getattr(kind, "__name__", str(kind)))
