import json
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from dcgan.serving.http.openapi import openapi_document
from dcgan.serving.http.openapi_parameters import name_parameter
from dcgan.serving.http.path import COLLECTIONS
from dcgan.serving.http.problem import TABLE
from dcgan.serving.http.query import (
    read_avatar_query,
    read_grid_query,
    read_image_query,
    read_walk_query,
)

LAST = 2**64 - 1
DOCUMENT = openapi_document()
OPERATIONS = {path: methods["get"] for path, methods in DOCUMENT["paths"].items()}
READERS = {
    "images": read_image_query,
    "grids": read_grid_query,
    "walks": read_walk_query,
    "avatars": read_avatar_query,
}


def example_address(path: str, operation, replaced) -> str:
    """An address from the examples of an operation's parameters."""
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            value = replaced.get(parameter["name"], parameter["example"])
            path = path.replace(f"{{{parameter['name']}}}", str(value))

    fields = {
        parameter["name"]: parameter["example"]
        for parameter in parameters
        if parameter["in"] == "query" and "example" in parameter
    }
    return path + ("?" + urlencode(fields) if fields else "")


def check_schema(schema, content: bytes) -> None:
    resolved = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(resolved).validate(json.loads(content))


@pytest.mark.slow
def test_a_validator_accepts_the_document():
    validate(DOCUMENT)


def test_the_server_sends_the_document(get):
    response = get("/openapi.json")
    assert json.loads(response.content) == DOCUMENT
    assert get("/openapi.json", if_none_match=response.getheader("etag")).status == 304


def test_every_file_of_every_collection_is_described():
    versioned = {path for path in OPERATIONS if "{version}/" in path}
    assert len(versioned) == sum(map(len, COLLECTIONS.values()))
    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_example_works(get, path):
    operation = OPERATIONS[path]
    address = example_address(path, operation, {"model": "tiny", "version": 2})
    response = get(address)
    assert str(response.status) in operation["responses"]
    assert response.status in (200, 302)
    if response.status == 200:
        ((media_type, content),) = operation["responses"]["200"]["content"].items()
        assert response.getheader("content-type") == media_type
        if "schema" in content:
            check_schema(content["schema"], response.content)


@pytest.mark.parametrize(
    ("collection", "name"),
    [("images", str(LAST)), ("grids", str(LAST)), ("walks", f"{LAST}-{LAST}"), ("avatars", "ada")],
)
def test_the_last_seed_fits_its_pattern(collection, name):
    Draft202012Validator(name_parameter(collection)["schema"]).validate(name)


@pytest.mark.parametrize("collection", READERS)
def test_the_query_fields_are_those_that_are_read(manifest, collection):
    (path, *_) = (path for path in OPERATIONS if f"{{version}}/{collection}/" in path)
    described = {
        parameter["name"]: parameter
        for parameter in OPERATIONS[path]["parameters"]
        if parameter["in"] == "query"
    }
    with pytest.raises(Exception, match="it takes ") as error:
        READERS[collection](b"unknown=1", manifest)
    assert set(str(error.value).split("it takes ")[1].split(", ")) == set(described)


def test_problems_match_their_schema(get):
    schema = DOCUMENT["components"]["schemas"]["Problem"]
    for path in ("/nothing", "/v1/models/none", "/v1/models/tiny/2/images/7.png?index=x"):
        check_schema(schema, get(path).content)
    assert set(schema["properties"]["reason"]["enum"]) == {error.reason for error in TABLE}
