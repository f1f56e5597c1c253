"""Parameters in the OpenAPI description: path, query and header fields of requests."""

from __future__ import annotations

from dcgan.core.noise import INDEX_LIMIT
from dcgan.core.picture_files import MAX_SIDES
from dcgan.serving.http.openapi_schemas import Schema
from dcgan.serving.http.path import NUMBER
from dcgan.serving.http.query import MAX_GRID_IMAGES, MAX_SIZE, MAX_WALK_STEPS

_UINT64 = {"type": "integer", "minimum": 0, "maximum": INDEX_LIMIT - 1}
_EXAMPLE_MODEL = "dcgan64"

_NAMES: dict[str, tuple[str, str, Schema, str]] = {
    "images": (
        "seed",
        "Any number below 2^64",
        {"type": "string", "pattern": f"^({NUMBER})$"},
        "7",
    ),
    "grids": (
        "seed",
        "Any number below 2^64",
        {"type": "string", "pattern": f"^({NUMBER})$"},
        "7",
    ),
    "walks": (
        "seeds",
        "The seeds of the first and the last image",
        {"type": "string", "pattern": f"^({NUMBER})-({NUMBER})$"},
        "7-8",
    ),
    "avatars": (
        "text",
        "Any text; its seed is the first 8 bytes, big-endian, of SHA-256 of its NFC form in UTF-8",
        {"type": "string", "minLength": 1},
        "ada",
    ),
}


def path_name(collection: str) -> str:
    """Returns the name of the last path parameter of a collection."""
    return _NAMES[collection][0]


def model_parameters(*, versioned: bool) -> list[Schema]:
    """Returns the path parameters of a model, with or without its version."""
    name = {"type": "string", "minLength": 1}
    parameters = [_parameter("path", "model", "Name of a model", name, _EXAMPLE_MODEL)]
    if versioned:
        schema = {"type": "integer", "minimum": 1, "maximum": 2**32 - 1}
        parameters.append(_parameter("path", "version", "Version of the model", schema, 1))
    return parameters


def name_parameter(collection: str) -> Schema:
    """Returns the last path parameter of a collection, such as the seed."""
    return _parameter("path", *_NAMES[collection])


def query_parameters(collection: str) -> list[Schema]:
    """Returns the query fields of a collection; they are those that `query.py` reads."""
    images = {"type": "integer", "minimum": 1, "maximum": MAX_GRID_IMAGES}
    longest = MAX_SIDES["webp"]
    columns = f"Images in a row, at most n; sides of a .webp have at most {longest} pixels"
    several = [
        _parameter("query", "from", "Index of the first image", _UINT64, 3),
        _parameter("query", "n", "Number of images", images, 4),
        _parameter("query", "columns", columns, images, 2),
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


def header_parameter(
    name: str, description: str, example: str, pattern: str | None = None
) -> Schema:
    """Returns a header field of requests; without a pattern, any value is accepted."""
    schema: Schema = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = f"^{pattern}$"
    return _parameter("header", name, description, schema, example)


def _look_parameters() -> list[Schema]:
    truncation = {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1}
    size = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}
    label = "Number or name of a class; by default image i has class i mod classes, a walk class 0"

    return [
        _parameter("query", "label", label, {"type": "string", "minLength": 1}),
        _parameter("query", "truncation", "Scale of the latent vectors", truncation, 0.7),
        _parameter("query", "size", "Height and width of each image, in pixels", size, 128),
    ]


def _parameter(
    place: str, name: str, description: str, schema: Schema, example: object = None
) -> Schema:
    parameter: Schema = {"in": place, "name": name, "description": description, "schema": schema}
    if place == "path":
        parameter["required"] = True
    if example is not None:
        parameter["example"] = example
    return parameter
