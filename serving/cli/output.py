"""The files that `dcgan-generate` and `dcgan-bench` write: whole or not at all."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL.PngImagePlugin import PngInfo

from dcgan.core.atomic import is_special, new_folder, replacing
from dcgan.core.errors import DcganError
from dcgan.core.images import Pixels, tile, to_pillow

_FORMAT_OF_SUFFIX = {".png": "grid", ".npy": "npy"}
_OTHER_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class OutputError(DcganError):
    """A file or folder that cannot be written."""


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Which images a file holds: model, seed and indices.

    Attributes:
        model: name of the model.
        version: version of the model.
        digest: SHA-256 of the model's file, in hexadecimal.
        seed: seed of the images.
        offset: index of the first image.
        label: class of all images; None if none was requested.
        truncation: factor on the latent vectors; None if none was requested.
    """

    model: str
    version: int
    digest: str
    seed: int
    offset: int
    label: int | None = None
    truncation: float | None = None

    def png_text(self, first: int, n: int) -> dict[str, str]:
        """Returns the text fields of a PNG file.

        Args:
            first: index of its first image.
            n: number of its images.
        """
        fields = {
            "model": self.model,
            "version": self.version,
            "digest": self.digest,
            "seed": self.seed,
            "index": first if n == 1 else f"{first}-{first + n - 1}",
            "label": self.label,
            "truncation": self.truncation,
        }

        text = {f"dcgan:{key}": str(value) for key, value in fields.items() if value is not None}
        return {"Software": "dcgan-generate", **text}


def choose_format(out: Path, named: str) -> str:
    """Returns what to write: "grid", "npy" or "folder".

    Args:
        out: where to write it.
        named: the format that the user named; "auto" to go by the suffix of `out`.

    Raises:
        OutputError: if it cannot be written there.
    """
    suffix = out.suffix.lower()
    with explaining(out, "--out"):
        if named == "auto" and suffix in _OTHER_IMAGE_SUFFIXES:
            problem = "the one format for pictures is .png"
            raise OutputError(f"{out} cannot be written: {problem}; name another --out")

        chosen = _FORMAT_OF_SUFFIX.get(suffix, "folder") if named == "auto" else named
        if chosen == "folder" and out.exists() and not _is_empty_folder(out):
            raise OutputError(f"{out} exists and is not an empty folder; name another --out")
        if chosen != "folder" and out.is_dir():
            raise OutputError(f"{out} is a folder; name a file for --out")
    return chosen


def write_images(images: Pixels, out: Path, chosen: str, source: ImageSource) -> bool:
    """Writes images as a grid, as an array, or as a folder of PNG files named by index.

    Args:
        images: uint8 [n, H, W, C].
        out: file or folder to write.
        chosen: "grid", "npy" or "folder".
        source: what the images are of; stored in PNG files as text fields.

    Returns:
        Whether a file was replaced.

    Raises:
        OutputError: if it cannot be written; then nothing is.
    """
    with explaining(out, "--out"):
        if chosen == "folder":
            with new_folder(out) as folder:
                _write_folder(images, folder, source)
            return False

        replaced = out.is_file()
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary, temporary.open("wb") as file:
            if chosen == "npy":
                _write_npy(images, file)
            else:
                text = source.png_text(source.offset, len(images))
                file.write(_encode_png(tile(images), text))
    return replaced


def write_output(out: Path, option: str, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        OutputError: if it cannot be written; the message names the option.
    """
    with explaining(out, option), replacing(out) as temporary:
        temporary.write_bytes(data)


def check_writable(out: Path, option: str) -> None:
    """Checks that a file can be written, before the work whose result it is to hold.

    Raises:
        OutputError: if it cannot be written; the message names the option.
    """
    if is_special(out):  # written into, not replaced
        return

    with explaining(out, option):
        with suppress(FileNotFoundError):
            out.stat()  # fails if the name is too long
        tempfile.TemporaryFile(dir=out.parent).close()


@contextmanager
def explaining(out: Path, option: str) -> Iterator[None]:
    """Turns an OSError into an OutputError that names the file and the option."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        problem = f"cannot write {str(out)!r:.100}: {reason}"
        raise OutputError(f"{problem}; name another {option}") from None


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _write_folder(images: Pixels, folder: Path, source: ImageSource) -> None:
    for index, image in enumerate(images, source.offset):
        png = _encode_png(image, source.png_text(index, 1))
        (folder / f"{index:06d}.png").write_bytes(png)


def _write_npy(images: Pixels, file: BinaryIO) -> None:
    # `numpy.save` reports a full disk without its reason.
    header = np.lib.format.header_data_from_array_1_0(images)
    np.lib.format.write_array_header_1_0(file, header)
    file.write(np.ascontiguousarray(images).data)


def _encode_png(image: Pixels, text: dict[str, str]) -> bytes:
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
