"""The images that each kind of address names, and how they are encoded."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from dcgan.core import noise
from dcgan.core.images import Pixels, tile
from dcgan.core.picture_files import resize, write_animation, write_picture
from dcgan.serving.api.requests import ImageRequest, read_interpolation, read_stream_request
from dcgan.serving.http.avatar import text_seed
from dcgan.serving.http.entity import provenance_headers
from dcgan.serving.http.path import ResourcePath, read_seed, read_seed_pair
from dcgan.serving.http.pictures import encoding_cost, scaled_images
from dcgan.serving.http.query import (
    GridQuery,
    ImageQuery,
    Look,
    WalkQuery,
    check_sides,
    read_avatar_query,
    read_grid_query,
    read_image_query,
    read_walk_query,
)
from dcgan.serving.models.entity_tag import entity_tag, file_parts, image_tag
from dcgan.serving.models.served_model import ServedModel
from dcgan.v1 import generator_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """An image file at an address, and how to make it.

    Attributes:
        etag: its strong entity tag.
        request: the images that it shows.
        write: turns their pixels, uint8 [n, H, W, C], into the file; for a thread.
        cost: number of images as which writing counts in the PNG queue.
        shown: number of images of the original size with as many pixels as the file.
        headers: header fields that describe the image.
    """

    etag: str
    request: ImageRequest
    write: Callable[[Pixels], bytes]
    cost: int
    shown: int
    headers: dict[str, str] = field(default_factory=dict)


def plan_rendering(model: ServedModel, path: ResourcePath, query: bytes) -> Rendering:
    """Validates an address and returns how to make its file. Generates nothing yet.

    Args:
        model: that the path names.
        path: of the resource.
        query: the query string as the client sent it.

    Raises:
        InvalidAddressError: if the name in the path is not valid.
        InvalidFieldError: names the first field of the query that is wrong.
    """
    if path.collection == "walks":
        return _plan_walk(
            model, read_seed_pair(path.name), path.extension, read_walk_query(query, model.manifest)
        )
    if path.collection == "avatars":
        seed = text_seed(path.name)
        return _plan_image(model, seed, path.extension, read_avatar_query(query, model.manifest))

    seed = read_seed(path.name)
    if path.collection == "grids":
        return _plan_grid(model, seed, path.extension, read_grid_query(query, model.manifest))
    image_query = read_image_query(query, model.manifest)
    if isinstance(image_query, GridQuery):
        return _plan_grid(model, seed, path.extension, image_query)
    return _plan_image(model, seed, path.extension, image_query)


def _plan_image(model: ServedModel, seed: int, extension: str, query: ImageQuery) -> Rendering:
    look = query.look
    classes = model.manifest.classes
    label = look.label
    if classes and label is None:
        label = query.index % classes
    headers = provenance_headers(model) | {
        "x-image-seed": str(seed),
        "x-image-index": str(query.index),
    }
    if label is not None:
        headers["x-image-label"] = str(label)

    message = pb.GenerateStreamRequest(
        seed=seed, n=1, offset=query.index, label=label, truncation=look.truncation
    )
    write = partial(_write_image, extension, look.size)
    if extension == "json":
        write = partial(_write_json, model, seed, query.index, look)
    return Rendering(
        etag=image_tag(
            model,
            seed,
            query.index,
            label=label,
            truncation=look.truncation,
            size=look.size,
            extension=extension,
        ),
        request=read_stream_request(message, model),
        write=write,
        cost=encoding_cost(1, look.size, model.manifest.image_size, extension),
        shown=scaled_images(1, look.size, model.manifest.image_size),
        headers=headers,
    )


def _plan_grid(model: ServedModel, seed: int, extension: str, query: GridQuery) -> Rendering:
    check_sides(query, extension, model.manifest)
    look = query.look
    message = pb.GenerateStreamRequest(
        seed=seed, n=query.n, offset=query.first, label=look.label, truncation=look.truncation
    )

    write = partial(_write_grid, extension, look.size, query.columns)
    if extension == "json":
        write = partial(_write_json, model, seed, query.first, look)

    parts = (seed, query.first, query.n, query.columns, *_look_parts(look))
    return Rendering(
        etag=entity_tag(model, "grid", *parts, *file_parts(model, extension)),
        request=read_stream_request(message, model),
        write=write,
        cost=encoding_cost(query.n, look.size, model.manifest.image_size, extension),
        shown=scaled_images(query.n, look.size, model.manifest.image_size),
        headers=provenance_headers(model) | {"x-image-seed": str(seed)},
    )


def _plan_walk(
    model: ServedModel, seeds: tuple[int, int], extension: str, query: WalkQuery
) -> Rendering:
    look = query.look
    message = pb.InterpolateRequest(
        seed_a=seeds[0],
        seed_b=seeds[1],
        offset_a=query.first,
        offset_b=query.last,
        steps=query.steps,
        label=look.label,
        truncation=look.truncation,
    )

    frames = 2 * query.steps if query.bounce else query.steps
    ends = (*seeds, query.first, query.last)
    parts = (query.steps, query.frame_ms, query.bounce, *_look_parts(look))

    return Rendering(
        etag=entity_tag(model, "walk", *ends, *parts, *file_parts(model, extension)),
        request=read_interpolation(message, model),
        write=partial(_write_walk, extension, query),
        cost=encoding_cost(frames, look.size, model.manifest.image_size, extension),
        shown=scaled_images(query.steps, look.size, model.manifest.image_size),
        headers=provenance_headers(model) | {"x-image-seed": f"{seeds[0]}-{seeds[1]}"},
    )


def _look_parts(look: Look) -> tuple[object, ...]:
    return look.label, look.truncation.hex(), look.size


def _write_image(extension: str, size: int | None, images: Pixels) -> bytes:
    return write_picture(resize(images, size)[0], extension)


def _write_grid(extension: str, size: int | None, columns: int | None, images: Pixels) -> bytes:
    return write_picture(tile(resize(images, size), columns), extension)


def _write_walk(extension: str, query: WalkQuery, images: Pixels) -> bytes:
    frames = resize(images, query.look.size)
    return write_animation(frames, extension, query.frame_ms, bounce=query.bounce)


def _write_json(model: ServedModel, seed: int, first: int, look: Look, images: Pixels) -> bytes:
    """Writes pixels in base64 with their origin; 64-bit numbers are strings, as in ProtoJSON."""
    pixels = resize(images, look.size)
    n, height, width, channels = pixels.shape

    labels = None
    if model.manifest.classes and look.label is None:
        labels = noise.labels(first, n, model.manifest.classes).tolist()
    elif look.label is not None:
        labels = [look.label] * n

    document = {
        "seed": str(seed),
        "index": str(first),
        "n": n,
        "labels": labels,
        "truncation": look.truncation,
        "height": height,
        "width": width,
        "channels": channels,
        "pixels": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode(),
        "provenance": {
            "model": model.name,
            "version": model.version,
            "digest": model.file.sha256,
            "noise_scheme": model.manifest.noise_scheme,
            "provider": model.provider,
            "agreement": model.agreement.value,
        },
    }

    return json.dumps(document).encode() + b"\n"
