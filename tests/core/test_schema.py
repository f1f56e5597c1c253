"""Strict reading of documents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcgan.core.schema import SchemaError, dump_json, parse, parse_json


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = 0.5
    inner: Inner | None = None
    shape: tuple[int | str, ...] = ()
    versions: dict[str, str] | None = None
    flag: bool = False


def test_a_record_survives_the_trip_through_json():
    record = Outer(
        name="ü", rate=1e-9, inner=Inner(size=3), shape=("batch", 4), versions={"a": "1"}, flag=True
    )
    assert parse_json(Outer, dump_json(record), "it") == record


@dataclass(frozen=True)
class Renamed:
    half_life: int = field(default=0, metadata={"key": "average_images"})


def test_a_field_can_have_another_key_in_documents():
    assert parse_json(Renamed, '{"average_images": 5}', "it") == Renamed(half_life=5)
    assert json.loads(dump_json(Renamed(half_life=5))) == {"average_images": 5}
    with pytest.raises(SchemaError, match=r"unknown key 'half_life'"):
        parse_json(Renamed, '{"half_life": 5}', "it")


def test_what_is_none_is_left_out():
    assert "inner" not in dump_json(Outer(name="x"))


def test_a_whole_number_is_a_number():
    assert parse(Outer, {"name": "x", "rate": 2}).rate == 2.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "it lacks the key 'name'"),
        ({"name": 1}, "it.name must be text, not 1"),
        ({"nam": "x"}, "it has an unknown key 'nam'; did you mean 'name'?"),
        ({"name": "x", "rate": "fast"}, "it.rate must be a number, not 'fast'"),
        ({"name": "x", "rate": True}, "it.rate must be a number, not True"),
        ({"name": "x", "rate": float("nan")}, "it.rate must be a finite number, not nan"),
        ({"name": "x", "flag": 1}, "it.flag must be true or false, not 1"),
        ({"name": "x", "inner": {"size": 1.5}}, "it.inner.size must be a whole number, not 1.5"),
        ({"name": "x", "inner": [1]}, r"it.inner must be a table, not \[1\]"),
        ({"name": "x", "shape": "abc"}, "it.shape must be a list, not 'abc'"),
        (
            {"name": "x", "shape": [1.5]},
            r"it.shape\[0\] must be one of a whole number, text, not 1.5",
        ),
        ({"name": "x", "versions": {"a": 1}}, "it.versions.a must be text, not 1"),
        ([], r"it must be a table, not \[\]"),
        ({"name": "x", "rate": 10**400}, "it.rate must be a finite number"),
        ({"name": 2**20_000}, "it.name must be text, not a number of thousands of digits"),
        ({"name": "x", "inner": [2**20_000]}, "must be a table, not a number of thousands of"),
        (
            {"name": "x", "inner": {"size": -(2**20_000)}},
            "a whole number, not a number of thousands",
        ),
        (
            {"name": "x", "shape": [[2**20_000]]},
            r"it.shape\[0\] must be one of a whole number, text, not a number of thousands",
        ),
        ({"name": "half \ud800"}, "it.name must be text in Unicode"),
    ],
)
def test_what_does_not_fit_is_named(value, message):
    with pytest.raises(SchemaError, match=message):
        parse(Outer, value, "it")


@pytest.mark.parametrize(
    "text", ["", "{", "[1,]", '{"name": "x", "name": "y"}', "[" * 100_000, "[" + "9" * 5001 + "]"]
)
def test_text_that_is_no_proper_json_is_refused(text):
    with pytest.raises(SchemaError, match="it"):
        parse_json(Outer, text, "it")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


@given(
    json_values
    | st.fixed_dictionaries(
        {"name": st.text()},
        optional={"inner": json_values, "shape": json_values, "rate": json_values | st.integers()},
    )
)
def test_any_value_gives_a_record_or_a_record_error(value):
    try:
        assert isinstance(parse(Outer, value), Outer)
    except SchemaError as error:
        assert "\n" not in str(error).replace(repr(value), "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ('{"rate": ' + "1" * 5000 + "}", "a number in it has thousands of digits"),
        ("{", "Expecting property name"),
    ],
)
def test_text_that_is_not_json_is_explained_without_advice_to_programmers(text, reason):
    with pytest.raises(SchemaError, match=f"^it is not valid JSON: {reason}"):
        parse_json(Outer, text, "it")
