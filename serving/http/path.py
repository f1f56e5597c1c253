"""Paths of requests: which resource an address names.

A path is split at its slashes before it is decoded, so that an encoded slash is part of a segment:
the avatar of "team/ada" is at `avatars/team%2Fada.png`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

from dcgan.core.noise import INDEX_LIMIT
from dcgan.serving.http.errors import AddressNotFoundError, InvalidAddressError

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "images": ("png", "webp", "json"),
    "grids": ("png", "webp"),
    "walks": ("webp", "gif"),
    "avatars": ("png", "webp", "json"),
}
"""Collections of a model's resources, with the extensions of each."""

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
NUMBER = r"0|[1-9][0-9]{0,19}"
"""Pattern of a seed, which has up to 20 digits, and of other whole numbers."""

_NUMBER = re.compile(NUMBER)
_MAX_VERSION = 2**32 - 1
_MAX_SHOWN = 60  # characters of a path segment in an error message


@dataclass(frozen=True)
class FilePath:
    """The path of a document of the server, e.g. `/` or `/healthz`.

    Attributes:
        path: the whole path.
    """

    path: str


@dataclass(frozen=True)
class ModelsPath:
    """The path of the list of models."""


@dataclass(frozen=True)
class ModelPath:
    """The path of a model's description.

    Attributes:
        model: name of the model.
        version: of the model; None for the one that is served.
    """

    model: str
    version: int | None


@dataclass(frozen=True)
class ResourcePath:
    """The path of images of a model.

    Attributes:
        model: name of the model.
        version: of the model; None for the one that is served.
        collection: key of COLLECTIONS.
        name: decoded name of the resource, without its extension.
        extension: one of the collection's.
    """

    model: str
    version: int | None
    collection: str
    name: str
    extension: str

    def at_version(self, version: int) -> str:
        """Returns the encoded path of the resource in a version of its model."""
        model = quote(self.model, safe="")
        name = quote(self.name, safe="")
        return f"/v1/models/{model}/{version}/{self.collection}/{name}.{self.extension}"


Path: TypeAlias = FilePath | ModelsPath | ModelPath | ResourcePath


def parse_path(raw_path: bytes) -> Path:
    """Finds out what a path names.

    Args:
        raw_path: the path as the client sent it, without the query.

    Raises:
        InvalidAddressError: if it cannot be decoded, or a number is outside its range.
        AddressNotFoundError: if it names nothing.
    """
    text = raw_path.decode("latin-1")
    if not text.startswith("/v1/"):
        return FilePath(_decode(text))

    segments = [_decode(segment) for segment in text.removeprefix("/v1/").split("/")]
    if segments[0] != "models":
        raise AddressNotFoundError("there is nothing under /v1/ except /v1/models")
    if len(segments) == 1:
        return ModelsPath()

    model, *rest = segments[1:]
    if not model:  # which gRPC takes as the default model, which may change
        raise AddressNotFoundError("a model has a name, as in /v1/models/<name>")
    version = None
    if rest and _NUMBER.fullmatch(rest[0]):
        version = _read_number(rest[0], "version", _MAX_VERSION)
        rest = rest[1:]
    if not rest:
        return ModelPath(model, version)
    return _parse_resource(model, version, rest)


def read_seed(text: str) -> int:
    """Reads a seed.

    Raises:
        InvalidAddressError: if it is not a decimal number below 2^64.
    """
    return _read_number(text, "seed", INDEX_LIMIT - 1)


def read_seed_pair(text: str) -> tuple[int, int]:
    """Reads the two seeds of a walk, e.g. "7-8".

    Raises:
        InvalidAddressError: if they are not two decimal numbers below 2^64.
    """
    first, dash, second = text.partition("-")
    if not dash:
        raise InvalidAddressError(f"a walk is named by two seeds, e.g. 7-8, not {_shown(text)}")
    return read_seed(first), read_seed(second)


def _parse_resource(model: str, version: int | None, segments: list[str]) -> ResourcePath:
    collection = segments[0]
    extensions = COLLECTIONS.get(collection)
    if extensions is None:
        known = ", ".join(COLLECTIONS)
        raise AddressNotFoundError(f"a model has no {_shown(collection)}; it has {known}")
    if len(segments) != 2:
        raise AddressNotFoundError(
            f"{collection} are at {collection}/<name>.<extension>; encode a slash in a name as %2F"
        )

    name, _, extension = segments[1].rpartition(".")
    if extension not in extensions or not name:
        known = ", ".join(f".{each}" for each in extensions)
        raise AddressNotFoundError(
            f"{collection} end in {known}, not as {_shown(segments[1])} does"
        )
    return ResourcePath(model, version, collection, name, extension)


def _decode(segment: str) -> str:
    if _ESCAPE.search(segment):
        raise InvalidAddressError("the path has a % that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidAddressError("the path is not encoded as UTF-8") from None


def _read_number(text: str, what: str, maximum: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > maximum:
        raise InvalidAddressError(f"a {what} is a number from 0 to {maximum}, not {_shown(text)}")
    return int(text)


def _shown(text: str) -> str:
    return f"{text[:_MAX_SHOWN]!a}"
