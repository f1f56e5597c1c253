"""The file of favourites that the gallery page saves, and that `dcgan-generate --from` reads."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.bounded import read_bounded
from dcgan.core.errors import DcganError
from dcgan.core.schema import parse_json

MAX_FAVOURITES = 4096

_SCHEMA_VERSION = 1
_MAX_BYTES = 2**20
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")


class FavouritesError(DcganError):
    """A file of favourites that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Favourite:
    """The address of an image.

    Attributes:
        model: name of the model.
        version: version of the model.
        seed: seed of the image.
        index: index of the image.
        label: class of the image; None for the default.
        truncation: factor on the latent vectors.
    """

    model: str
    version: int
    seed: int
    index: int
    label: int | None
    truncation: float


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A favourite as the file has it: 64-bit numbers are text, as in ProtoJSON."""

    model: str
    version: int
    seed: str
    index: str
    label: int | None = None
    truncation: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Document:
    schema_version: int
    favourites: tuple[_Entry, ...]


def read_favourites(path: Path) -> tuple[Favourite, ...]:
    """Reads a file of favourites.

    Returns:
        The favourites in the order of the file, one or more.

    Raises:
        FavouritesError: if the file cannot be read, is too large, or holds none.
        SchemaError: if it is not such a file.
    """
    name = f"{str(path)!r:.100}"
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8")
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise FavouritesError(
                f"{name} is larger than {_MAX_BYTES} bytes; split it for --from"
            ) from None
        problem = f"cannot read {name}: {error.strerror or error}"
        raise FavouritesError(f"{problem}; name another file for --from") from None
    except UnicodeDecodeError:
        raise FavouritesError(
            f"{name} is not encoded as UTF-8; name another file for --from"
        ) from None

    document = parse_json(_Document, text, name, _SCHEMA_VERSION)
    if not document.favourites:
        raise FavouritesError(f"{name} has no favourites; name another file for --from")
    if len(document.favourites) > MAX_FAVOURITES:
        raise FavouritesError(
            f"{name} has {len(document.favourites)} favourites, and {MAX_FAVOURITES} are allowed; "
            "split it for --from"
        )
    return tuple(
        _check(entry, f"{name}.favourites[{i}]") for i, entry in enumerate(document.favourites)
    )


def _check(entry: _Entry, where: str) -> Favourite:
    if not entry.model:
        raise FavouritesError(f"{where}.model must not be empty")
    if not 0 < entry.version < 2**32:
        raise FavouritesError(f"{where}.version must be 1 to 4294967295, not {entry.version}")
    if entry.label is not None and not 0 <= entry.label < 2**32:
        raise FavouritesError(f"{where}.label must be 0 to 4294967295, not {entry.label}")
    if not 0 < entry.truncation <= 1:
        raise FavouritesError(
            f"{where}.truncation must be above 0 and at most 1, not {entry.truncation:g}"
        )

    return Favourite(
        model=entry.model,
        version=entry.version,
        seed=_read_number(entry.seed, f"{where}.seed"),
        index=_read_number(entry.index, f"{where}.index"),
        label=entry.label,
        truncation=entry.truncation,
    )


def _read_number(text: str, where: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) >= 2**64:
        raise FavouritesError(
            f"{where} must be text with a decimal number below 2^64, not {text!r:.60}"
        )
    return int(text)
