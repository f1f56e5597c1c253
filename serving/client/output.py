"""Images of `dcgan-generate` on disk: whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dcgan.core.atomic import new_folder, replacing, write_file
from dcgan.core.errors import DcganError
from dcgan.core.images import Pixels, encode_png, tile

FORMATS = ("auto", "grid", "npy", "folder")
_OTHER_PICTURES = frozenset(
    {".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
)  # nobody means a folder


class OutputError(DcganError):
    """A place that cannot be written to."""


def choose_format(out: Path, named: str) -> str:
    """What to write: what was named, one of FORMATS, or what the ending of the name says.

    Raises:
        OutputError: if it is a folder with something in it.
    """
    with explained(out, "--out"):
        return _choose_format(out, named)


def _choose_format(out: Path, named: str) -> str:
    by_ending = {".png": "grid", ".npy": "npy"}
    chosen = by_ending.get(out.suffix.lower(), "folder") if named == "auto" else named
    if named == "auto" and out.suffix.lower() in _OTHER_PICTURES:
        raise OutputError(
            f"{out} cannot be written: the one format for pictures is .png; name another --out"
        )
    if chosen == "folder" and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out} exists and is no empty folder; name another --out")
    if chosen != "folder" and out.is_dir():
        raise OutputError(f"{out} is a folder; name a file for --out")
    return chosen


def write_images(images: Pixels, out: Path, chosen: str, offset: int) -> None:
    """Writes images [n, H, W, C] as a grid, as an array, or as a folder of pictures named by index.

    Raises:
        OutputError: if it cannot be written; then nothing is.
    """
    with explained(out, "--out"):
        if chosen == "grid":
            write_file(out, encode_png(tile(images)))
        elif chosen == "npy":
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as place, place.open("wb") as file:
                np.save(file, images)
        else:
            with new_folder(out) as place:
                for i, image in enumerate(images):
                    (place / f"{offset + i:06d}.png").write_bytes(encode_png(image))


def check_place(out: Path, option: str) -> None:
    """Sees that a file can be written before the work that is to be in it; leaves nothing behind.

    Raises:
        OutputError: if it cannot; names the option.
    """
    with explained(out, option):
        with contextlib.suppress(FileNotFoundError):
            out.stat()  # knows of names that are too long
        tempfile.TemporaryFile(dir=out.parent).close()


@contextmanager
def explained(out: Path, option: str) -> Iterator[None]:
    """Turns what the system says of a place into an OutputError that names the option."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {str(out)!r:.100}: {error.strerror}; name another {option}"
        ) from None
