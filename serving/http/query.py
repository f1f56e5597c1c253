"""Queries of requests: one typed value for each kind of resource, with every field in its range."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

import numpy as np

from dcgan.core.labels import describe_labels, find_label
from dcgan.core.noise import INDEX_LIMIT
from dcgan.core.picture_files import MAX_SIDES
from dcgan.core.text import printable
from dcgan.serving.api.errors import InvalidFieldError
from dcgan.zoo.manifest import Manifest

MAX_PICTURE_PIXELS = 2**22
"""Maximum number of pixels of a picture, or of all frames of an animation together."""

MAX_GRID_IMAGES = 1024
MAX_WALK_STEPS = 240
MAX_SIZE = 2048

_MAX_FIELDS = 16
_MAX_SHOWN = 60  # characters of a value in an error message
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_DECIMAL = re.compile(r"(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How images look; fields that all resources share.

    Attributes:
        label: class of the images; None for the default.
        truncation: psi in (0, 1], a float32.
        size: height and width of each image in pixels; None for that of the model.
    """

    label: int | None = None
    truncation: float = 1.0
    size: int | None = None


@dataclass(frozen=True)
class ImageQuery:
    """One image of a seed."""

    look: Look
    index: int = 0


@dataclass(frozen=True)
class GridQuery:
    """Consecutive images of a seed.

    Attributes:
        look: how they look.
        first: index of the first image.
        n: number of images.
        columns: images in a row; None for a near-square grid.
    """

    look: Look
    first: int = 0
    n: int = 16
    columns: int | None = None


@dataclass(frozen=True)
class WalkQuery:
    """An animation from one seed to another.

    Attributes:
        look: how the images look.
        first: index of the image of the first seed.
        last: index of the image of the second seed.
        steps: number of images, both ends included.
        frame_ms: duration of a frame in milliseconds, a multiple of 10.
        bounce: whether the animation runs back to its beginning.
    """

    look: Look
    first: int = 0
    last: int = 0
    steps: int = 24
    frame_ms: int = 80
    bounce: bool = False


def read_image_query(query: bytes, manifest: Manifest) -> ImageQuery | GridQuery:
    """Reads the query of `images/{seed}`: one image, or several if `from` or `n` is given.

    Args:
        query: the query string as the client sent it.
        manifest: of the model.

    Raises:
        InvalidFieldError: names the first field that is wrong.
    """
    fields = _Fields(query, ("index", "from", "n", "columns", "label", "truncation", "size"))
    several = [name for name in ("from", "n", "columns") if name in fields]

    if not several:
        look = _read_look(fields, manifest)
        return ImageQuery(look, fields.integer("index", 0, 0, INDEX_LIMIT - 1))

    if "index" in fields:
        raise InvalidFieldError("index", f"must not be given together with {several[0]}")
    return _read_grid(fields, manifest, default_n=1)


def read_grid_query(query: bytes, manifest: Manifest) -> GridQuery:
    """Reads the query of `grids/{seed}`. See `read_image_query`."""
    fields = _Fields(query, ("from", "n", "columns", "label", "truncation", "size"))
    return _read_grid(fields, manifest, default_n=16)


def read_walk_query(query: bytes, manifest: Manifest) -> WalkQuery:
    """Reads the query of `walks/{a}-{b}`. See `read_image_query`."""
    known = ("index_a", "index_b", "steps", "frame_ms", "bounce", "label", "truncation", "size")
    fields = _Fields(query, known)
    look = _read_look(fields, manifest)

    frame_ms = fields.integer("frame_ms", 80, 20, 10_000)
    if frame_ms % 10:
        raise InvalidFieldError("frame_ms", f"must be a multiple of 10, not {frame_ms}")

    steps = fields.integer("steps", 24, 2, MAX_WALK_STEPS)
    bounce = fields.flag("bounce")
    _check_pixels("steps", 2 * steps if bounce else steps, look, manifest)
    first = fields.integer("index_a", 0, 0, INDEX_LIMIT - 1)
    last = fields.integer("index_b", 0, 0, INDEX_LIMIT - 1)
    return WalkQuery(look, first, last, steps, frame_ms, bounce)


def read_avatar_query(query: bytes, manifest: Manifest) -> ImageQuery:
    """Reads the query of `avatars/{text}`. See `read_image_query`."""
    fields = _Fields(query, ("label", "truncation", "size"))
    return ImageQuery(_read_look(fields, manifest))


def check_sides(query: GridQuery, extension: str, manifest: Manifest) -> None:
    """Checks that a grid is not too wide or too high for a file format.

    Args:
        query: what is in the grid.
        extension: of the file.
        manifest: of the model.

    Raises:
        InvalidFieldError: if it is.
    """
    if query.columns is None or extension not in MAX_SIDES:
        return
    rows = math.ceil(query.n / query.columns)
    longest = max(query.columns, rows) * (query.look.size or manifest.image_size)
    if longest > MAX_SIDES[extension]:
        raise InvalidFieldError(
            "columns",
            f"must give sides of at most {MAX_SIDES[extension]} pixels in a .{extension} file, not "
            f"{longest}; ask for a .png",
        )


def check_no_query(query: bytes) -> None:
    """Checks that a query is empty.

    Raises:
        InvalidFieldError: names the first field.
    """
    _Fields(query, ())


class _Fields:
    """The fields of a query string, each of them known and given once."""

    def __init__(self, query: bytes, known: tuple[str, ...]) -> None:
        self._values: dict[str, str] = {}
        try:
            pairs = parse_qsl(
                query.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except (ValueError, UnicodeError):
            raise InvalidFieldError(
                "query", f"must be at most {_MAX_FIELDS} fields, percent-encoded as UTF-8"
            ) from None

        for name, value in pairs:
            if name not in known:
                cure = f"it takes {', '.join(known)}" if known else "it takes none"
                raise InvalidFieldError(printable(name, _MAX_SHOWN), f"is not a field here; {cure}")
            if name in self._values:
                raise InvalidFieldError(name, "must be given once")
            self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        return self._read(name, default, lambda text: _read_integer(name, text, minimum, maximum))

    def flag(self, name: str) -> bool:
        return bool(self.integer(name, 0, 0, 1))

    def truncation(self) -> float:
        return self._read("truncation", 1.0, _read_truncation)

    def label(self, manifest: Manifest) -> int | None:
        return self._read("label", None, lambda text: _read_label(text, manifest))

    def _read(self, name: str, default: T, read: Callable[[str], T]) -> T:
        text = self._values.get(name)
        return default if text is None else read(text)


def _read_look(fields: _Fields, manifest: Manifest) -> Look:
    label = fields.label(manifest)
    truncation = fields.truncation()
    size = fields.integer("size", manifest.image_size, 1, MAX_SIZE)
    return Look(
        label=label, truncation=truncation, size=None if size == manifest.image_size else size
    )


def _read_grid(fields: _Fields, manifest: Manifest, default_n: int) -> GridQuery:
    look = _read_look(fields, manifest)
    n = fields.integer("n", default_n, 1, MAX_GRID_IMAGES)
    first = fields.integer("from", 0, 0, INDEX_LIMIT - 1)
    if first > INDEX_LIMIT - n:
        raise InvalidFieldError("from", f"must be at most 2^64 - n, not {first}")
    columns = fields.integer("columns", 0, 1, n) if "columns" in fields else None
    cells = n if columns is None else columns * math.ceil(n / columns)
    _check_pixels("n", cells, look, manifest)
    return GridQuery(look, first, n, columns)


def _check_pixels(field: str, images: int, look: Look, manifest: Manifest) -> None:
    size = look.size or manifest.image_size
    if images > 1 and images * size * size > MAX_PICTURE_PIXELS:
        most = max(1, MAX_PICTURE_PIXELS // (size * size))
        raise InvalidFieldError(
            field,
            f"and size must give at most {MAX_PICTURE_PIXELS} pixels: {most} images of {size} x "
            f"{size}, not {images}",
        )


def _read_integer(name: str, text: str, minimum: int, maximum: int) -> int:
    if not _INTEGER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise InvalidFieldError(name, f"must be {minimum} to {maximum}, not {_shown(text)}")
    return int(text)


def _read_truncation(text: str) -> float:
    # Round to float32 as gRPC does, so that both give the same pixels.
    value = float(np.float32(min(float(text), 2.0))) if _DECIMAL.fullmatch(text) else math.nan
    if not 0 < value <= 1:
        raise InvalidFieldError("truncation", f"must be above 0 and at most 1, not {_shown(text)}")
    return value


def _read_label(text: str, manifest: Manifest) -> int:
    if not manifest.classes:
        raise InvalidFieldError("label", f"must be unset: model {manifest.name} has no classes")
    label = find_label(text, manifest.classes, manifest.class_names)
    if label is None:
        known = describe_labels(manifest.classes, manifest.class_names)
        raise InvalidFieldError("label", f"must be {known}, not {_shown(text)}")
    return label


def _shown(text: str) -> str:
    return f"{text[:_MAX_SHOWN]!a}"
