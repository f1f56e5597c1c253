"""Requests: messages of gRPC; targets and header fields of HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dcgan.core.schema import parse_json
from fuzzing.release import manifest_text
from fuzzing.target import Target, refusing

if TYPE_CHECKING:
    from dcgan.zoo.manifest import Manifest


@cache
def _classes_manifest() -> Manifest:
    from dcgan.zoo.manifest import Manifest  # noqa: PLC0415

    table = json.loads(manifest_text())
    table["classes"] = 2
    table["class_names"] = ["cat", "dog"]
    label = {"name": "label", "dtype": "int64", "shape": ["batch"]}
    table["inputs"].append(label)
    return parse_json(Manifest, json.dumps(table), "the manifest")


def grpc_seeds() -> list[bytes]:
    """Returns one message of each kind, after a byte that says which."""
    from dcgan.v1 import generator_pb2 as pb  # noqa: PLC0415

    single = pb.GenerateRequest(
        seed=7, n=3, offset=5, label=1, truncation=0.5, format=pb.IMAGE_FORMAT_RGB8
    )
    stream = pb.GenerateStreamRequest(
        seed=7, n=3, offset=5, label=1, truncation=0.5, format=pb.IMAGE_FORMAT_RGB8
    )
    walk = pb.InterpolateRequest(seed_a=7, seed_b=8, steps=5, truncation=0.5)
    messages = (single, stream, walk)
    return [bytes([i]) + message.SerializeToString() for i, message in enumerate(messages)]


def run_grpc(data: bytes) -> None:
    """Validates a message, and draws the latent vectors that it asks for."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    from dcgan.serving.api import requests  # noqa: PLC0415
    from dcgan.serving.errors import RequestError  # noqa: PLC0415
    from dcgan.v1 import generator_pb2 as pb  # noqa: PLC0415

    kinds: tuple[tuple[Any, Callable[[Any, Any], Any]], ...] = (
        (pb.GenerateRequest, requests.read_unary_request),
        (pb.GenerateStreamRequest, requests.read_stream_request),
        (pb.InterpolateRequest, requests.read_interpolation),
    )
    kind, read = kinds[data[0] % 3 if data else 0]
    replies = SimpleNamespace(max_images=lambda _: 341)
    model: Any = SimpleNamespace(manifest=_classes_manifest(), replies=replies)
    try:
        message = kind.FromString(data[1:])
    except DecodeError:
        return
    with refusing(RequestError):
        request = read(message, model)
        request.draw(0, 1)
        request.draw(request.images - 1, 1)


def http_seeds() -> list[bytes]:
    """Returns requests: target, then header fields, in lines."""
    targets = (
        b"/v1/models/a/1/images/7.png?index=3&label=dog&truncation=.5&size=128",
        b"/v1/models/a/images/7.webp?from=3&n=4&columns=2",
        b"/v1/models/a/grids/7.png?n=16&from=18446744073709551600",
        b"/v1/models/a/walks/7-8.gif?steps=5&index_a=1&index_b=2&frame_ms=100&bounce=1",
        b"/v1/models/a/avatars/team%2F%C3%A4.png?size=64",
        b"/v1/models",
        b"/openapi.json",
    )
    return [target + b'\n250m\nW/"a", "b"\nname: value' for target in targets]


def run_http(data: bytes) -> None:
    """Reads a request's path, query and header fields."""
    from dcgan.serving.errors import RequestError  # noqa: PLC0415
    from dcgan.serving.http import avatar, conditions, path, query, request  # noqa: PLC0415

    manifest = _classes_manifest()
    target, timeout, tags, field = (*data.split(b"\n"), b"", b"", b"")[:4]
    raw_path, _, raw_query = target.partition(b"?")
    readers = {
        "images": query.read_image_query,
        "grids": query.read_grid_query,
        "walks": query.read_walk_query,
        "avatars": query.read_avatar_query,
    }
    with refusing(RequestError):
        assert math.isfinite(request.read_deadline(timeout.decode("latin-1"), 1.0))
    conditions.none_match(tags.decode("latin-1"), '"b"')
    conditions.any_match(tags.decode("latin-1"), '"b"')
    name, _, value = field.partition(b":")
    assert request.read_headers([(name, value)])
    assert request.read_request_id(value.decode("latin-1")).isprintable()

    with refusing(RequestError):
        found = path.parse_path(raw_path)
        if not isinstance(found, path.ResourcePath):
            return query.check_no_query(raw_query)
        if found.collection == "avatars":
            avatar.text_seed(found.name)
        elif found.collection == "walks":
            path.read_seed_pair(found.name)
        else:
            path.read_seed(found.name)
        path.parse_path(found.at_version(3).encode())
        readers[found.collection](raw_query, manifest)
    return None


TARGETS = {
    "grpc": Target(grpc_seeds, run_grpc),
    "http": Target(http_seeds, run_http),
}
