"""The OpenAPI 3.1 description of the HTTP interface."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeAlias

from dcgan.core.noise import INDEX_LIMIT
from dcgan.core.versions import library_versions
from dcgan.serving.http.entity import PROVENANCE_FIELDS
from dcgan.serving.http.path import COLLECTIONS
from dcgan.serving.http.pictures import MEDIA_TYPES
from dcgan.serving.http.problem import MEDIA_TYPE, TABLE
from dcgan.serving.http.query import MAX_GRID_IMAGES, MAX_SIZE, MAX_WALK_STEPS

Schema: TypeAlias = dict[str, Any]

_UINT64 = {"type": "integer", "minimum": 0, "maximum": INDEX_LIMIT - 1}
_EXAMPLE_MODEL = "dcgan64"

_SUMMARIES = {
    "images": "One image of a seed, or several as a grid",
    "grids": "Consecutive images of a seed as a grid",
    "walks": "An animation from one image to another",
    "avatars": "The image of a text, e.g. of a user id",
}
_NAMES: dict[str, tuple[str, str, Schema, str]] = {
    "images": (
        "seed",
        "Any number below 2^64",
        {"type": "string", "pattern": "^(0|[1-9][0-9]{0,18})$"},
        "7",
    ),
    "grids": (
        "seed",
        "Any number below 2^64",
        {"type": "string", "pattern": "^(0|[1-9][0-9]{0,18})$"},
        "7",
    ),
    "walks": (
        "seeds",
        "The seeds of the first and the last image",
        {"type": "string", "pattern": "^(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$"},
        "7-8",
    ),
    "avatars": (
        "text",
        "Any text; its seed is the first 8 bytes, big-endian, of SHA-256 of its NFC form in UTF-8",
        {"type": "string", "minLength": 1},
        "ada",
    ),
}


def openapi_document() -> dict[str, Any]:
    """Returns the description of every address."""
    paths: dict[str, Any] = {
        "/v1/models": {"get": _list_models()},
        "/v1/models/{model}": {"get": _get_model(versioned=False)},
        "/v1/models/{model}/{version}": {"get": _get_model(versioned=True)},
    }
    for collection, extensions in COLLECTIONS.items():
        name = _NAMES[collection][0]
        for extension in extensions:
            file = f"{collection}/{{{name}}}.{extension}"
            paths[f"/v1/models/{{model}}/{{version}}/{file}"] = {
                "get": _draw(collection, extension)
            }
            paths[f"/v1/models/{{model}}/{file}"] = {"get": _redirect(collection, extension)}
    for path, summary in (("/healthz", "Whether the process lives"), ("/readyz", "Readiness")):
        paths[path] = {"get": _health(path, summary)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dcgan-zoo",
            "version": library_versions("dcgan-zoo")["dcgan-zoo"],
            "summary": "Images from noise: an image is a pure function of its address.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {"Model": _model_schema(), "Problem": _problem_schema()}},
    }


def _draw(collection: str, extension: str) -> Schema:
    content: Schema = {MEDIA_TYPES[extension]: {}}
    if extension == "json":
        content = {MEDIA_TYPES["json"]: {"schema": _pixels_schema()}}
    headers = ("ETag", "Cache-Control", "X-Request-Id", *PROVENANCE_FIELDS)
    return {
        "operationId": f"{collection}_{extension}",
        "summary": _SUMMARIES[collection],
        "parameters": [
            *_model_parameters(versioned=True),
            _name_parameter(collection),
            *_query_parameters(collection),
            _header_parameter("If-None-Match", "Entity tags that the client has", '"abc"'),
            _header_parameter("Grpc-Timeout", "Deadline, e.g. 250m for 250 ms", "20S"),
        ],
        "responses": {
            "200": {
                "description": "The content, which never changes",
                "headers": {name: {"schema": {"type": "string"}} for name in headers},
                "content": content,
            },
            "304": {"description": "The client has it"},
            **_problems(400, 404, 408, 412, 413, 414, 429, 431, 500, 503, 504),
        },
    }


def _redirect(collection: str, extension: str) -> Schema:
    return {
        "operationId": f"{collection}_{extension}_of_served_version",
        "summary": f"{_SUMMARIES[collection]}, in the version that is served",
        "parameters": [
            *_model_parameters(versioned=False),
            _name_parameter(collection),
            *_query_parameters(collection),
        ],
        "responses": {
            "302": {
                "description": "The address in the version that is served",
                "headers": {"Location": {"schema": {"type": "string"}}},
            },
            **_problems(400, 404, 408, 413, 414, 431, 500, 503),
        },
    }


def _list_models() -> Schema:
    models = {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
    schema = {"type": "object", "properties": {"models": models}, "required": ["models"]}
    return {
        "operationId": "list_models",
        "summary": "The models that are served, the default first",
        "responses": {
            "200": {
                "description": "The models",
                "content": {MEDIA_TYPES["json"]: {"schema": schema}},
            },
            **_problems(400, 408, 413, 414, 431, 500, 503),
        },
    }


def _get_model(*, versioned: bool) -> Schema:
    schema = {"$ref": "#/components/schemas/Model"}
    return {
        "operationId": "get_model_version" if versioned else "get_model",
        "summary": "One model" + ("" if versioned else ", in the version that is served"),
        "parameters": _model_parameters(versioned=versioned),
        "responses": {
            "200": {
                "description": "The model",
                "content": {MEDIA_TYPES["json"]: {"schema": schema}},
            },
            **_problems(400, 404, 408, 413, 414, 431, 500, 503),
        },
    }


def _health(path: str, summary: str) -> Schema:
    schema = {
        "type": "object",
        "properties": {"status": {"type": "string"}},
        "required": ["status"],
    }
    return {
        "operationId": path.removeprefix("/"),
        "summary": summary,
        "responses": {
            "200": {"description": "It is", "content": {MEDIA_TYPES["json"]: {"schema": schema}}},
            **_problems(400, 408, 413, 414, 431, 500, 503),
        },
    }


def _model_parameters(*, versioned: bool) -> list[Schema]:
    parameters = [
        _parameter("path", "model", "Name of a model", {"type": "string"}, _EXAMPLE_MODEL)
    ]
    if versioned:
        schema = {"type": "integer", "minimum": 1, "maximum": 2**32 - 1}
        parameters.append(_parameter("path", "version", "Version of the model", schema, 1))
    return parameters


def _name_parameter(collection: str) -> Schema:
    return _parameter("path", *_NAMES[collection])


def _query_parameters(collection: str) -> list[Schema]:
    """Returns the query fields of a collection; they are those that `query.py` reads."""
    images = {"type": "integer", "minimum": 1, "maximum": MAX_GRID_IMAGES}
    several = [
        _parameter("query", "from", "Index of the first image", _UINT64, 3),
        _parameter("query", "n", "Number of images", images, 4),
        _parameter("query", "columns", "Images in a row, at most n", images, 2),
    ]
    fields = {
        "images": [
            _parameter("query", "index", "Index of the image; not with from, n, columns", _UINT64),
            *several,
        ],
        "grids": several,
        "walks": [
            _parameter("query", "index_a", "Index of the first image", _UINT64, 3),
            _parameter("query", "index_b", "Index of the last image", _UINT64, 4),
            _parameter(
                "query",
                "steps",
                "Number of images, both ends included",
                {"type": "integer", "minimum": 2, "maximum": MAX_WALK_STEPS, "default": 24},
                3,
            ),
            _parameter(
                "query",
                "frame_ms",
                "Duration of a frame in milliseconds",
                {
                    "type": "integer",
                    "minimum": 20,
                    "maximum": 10_000,
                    "multipleOf": 10,
                    "default": 80,
                },
                50,
            ),
            _parameter(
                "query",
                "bounce",
                "Whether it runs back to its beginning",
                {"type": "integer", "enum": [0, 1], "default": 0},
                1,
            ),
        ],
        "avatars": [],
    }[collection]
    return [*fields, *_look_parameters()]


def _look_parameters() -> list[Schema]:
    truncation = {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1}
    size = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}
    label = "Number or name of a class; by default image i has class i mod classes, a walk class 0"
    return [
        _parameter("query", "label", label, {"type": "string", "minLength": 1}),
        _parameter("query", "truncation", "Scale of the latent vectors", truncation, 0.7),
        _parameter("query", "size", "Height and width of each image, in pixels", size, 128),
    ]


def _header_parameter(name: str, description: str, example: str) -> Schema:
    return _parameter("header", name, description, {"type": "string"}, example)


def _parameter(
    place: str, name: str, description: str, schema: Schema, example: object = None
) -> Schema:
    parameter: Schema = {"in": place, "name": name, "description": description, "schema": schema}
    if place == "path":
        parameter["required"] = True
    if example is not None:
        parameter["example"] = example
    return parameter


def _problems(*statuses: int) -> Schema:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def _problem_schema() -> Schema:
    reasons = sorted(error.reason for error in TABLE)
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string", "enum": reasons},
            "request_id": {"type": "string"},
            "field": {"type": "string"},
            "retry_after_s": {"type": "number"},
        },
        "required": ["type", "title", "status", "detail", "reason"],
    }


def _model_schema() -> Schema:
    texts = (
        "name",
        "digest",
        "description",
        "license",
        "noise_scheme",
        "precision",
        "provider",
        "agreement",
        "address",
    )
    numbers = (
        "version",
        "height",
        "width",
        "channels",
        "latent_size",
        "classes",
        "max_images_per_request",
    )
    properties: Schema = {name: {"type": "string"} for name in texts}
    properties |= {name: {"type": "integer"} for name in numbers}
    properties["class_names"] = {"type": "array", "items": {"type": "string"}}
    properties["is_default"] = {"type": "boolean"}
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _pixels_schema() -> Schema:
    """Returns the schema of images as JSON; 64-bit numbers are strings."""
    return {
        "type": "object",
        "properties": {
            "seed": {"type": "string"},
            "index": {"type": "string"},
            "n": {"type": "integer"},
            "labels": {"type": ["array", "null"], "items": {"type": "integer"}},
            "truncation": {"type": "number"},
            "height": {"type": "integer"},
            "width": {"type": "integer"},
            "channels": {"type": "integer"},
            "pixels": {"type": "string", "contentEncoding": "base64"},
            "provenance": {"type": "object"},
        },
        "required": ["seed", "index", "n", "height", "width", "channels", "pixels", "provenance"],
    }
