"""The OpenAPI 3.1 description of the HTTP interface."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from dcgan.core.versions import library_versions
from dcgan.serving.http.entity import PROVENANCE_FIELDS
from dcgan.serving.http.openapi_parameters import (
    header_parameter,
    model_parameters,
    name_parameter,
    path_name,
    query_parameters,
)
from dcgan.serving.http.openapi_schemas import Schema, model_schema, pixels_schema, problem_schema
from dcgan.serving.http.path import COLLECTIONS
from dcgan.serving.http.pictures import MEDIA_TYPES
from dcgan.serving.http.problem import MEDIA_TYPE
from dcgan.serving.http.request import TIMEOUT

_SUMMARIES = {
    "images": "One image of a seed, or several as a grid",
    "grids": "Consecutive images of a seed as a grid",
    "walks": "An animation from one image to another",
    "avatars": "The image of a text, e.g. of a user id",
}


def openapi_document() -> dict[str, Any]:
    """Returns the description of every address."""
    paths: dict[str, Any] = {
        "/v1/models": {"get": _list_models()},
        "/v1/models/{model}": {"get": _get_model(versioned=False)},
        "/v1/models/{model}/{version}": {"get": _get_model(versioned=True)},
    }

    for collection, extensions in COLLECTIONS.items():
        name = path_name(collection)
        for extension in extensions:
            file = f"{collection}/{{{name}}}.{extension}"
            paths[f"/v1/models/{{model}}/{{version}}/{file}"] = {
                "get": _draw(collection, extension)
            }
            paths[f"/v1/models/{{model}}/{file}"] = {"get": _redirect(collection, extension)}
    for path, summary in (("/healthz", "Whether the process is alive"), ("/readyz", "Readiness")):
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
        "components": {"schemas": {"Model": model_schema(), "Problem": problem_schema()}},
    }


def _draw(collection: str, extension: str) -> Schema:
    content: Schema = {MEDIA_TYPES[extension]: {}}
    if extension == "json":
        content = {MEDIA_TYPES["json"]: {"schema": pixels_schema()}}

    headers = ("ETag", "Cache-Control", "X-Request-Id", *PROVENANCE_FIELDS)

    return {
        "operationId": f"{collection}_{extension}",
        "summary": _SUMMARIES[collection],
        "parameters": [
            *model_parameters(versioned=True),
            name_parameter(collection),
            *query_parameters(collection),
            header_parameter("If-None-Match", "Entity tags that the client has", '"abc"'),
            header_parameter(
                "Grpc-Timeout", "Deadline, e.g. 250m for 250 ms", "20S", TIMEOUT.pattern
            ),
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
            *model_parameters(versioned=False),
            name_parameter(collection),
            *query_parameters(collection),
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
        "parameters": model_parameters(versioned=versioned),
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


def _problems(*statuses: int) -> Schema:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
