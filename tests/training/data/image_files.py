"""Image files, and broken ones, for the tests of data."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig, decode_to_memory
from dcgan.training.data.sources import open_source


def load(source: Path | str, size: int = 32, channels: int = 3, **options: str) -> Dataset:
    config = DecodeConfig(image_size=size, channels=channels, **options)
    return decode_to_memory(open_source(str(source)), config, iter)


def png(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def flat(level: int, width: int = 40, height: int = 40) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def raw_png(width: int, height: int, bits: int, color_type: int, rows: bytes) -> bytes:
    """A PNG of any depth; each row of pixels begins with the number of its filter."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def huge_png(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""
    return raw_png(width, height, 8, 2, b"")


def odd_tiff() -> bytes:
    """A TIFF that gives a text for the place of its pixels, at which Pillow raises a TypeError."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="TIFF")
    data, place = bytearray(buffer.getvalue()), struct.pack("<HH", 273, 4)
    data[data.index(place) : data.index(place) + 8] = struct.pack("<HHI", 273, 2, 1)
    return bytes(data)


def turned_jpeg(*tags: tuple[int, int, int, bytes]) -> bytes:
    """A JPEG, 40 x 40, left half blue, right half red; tags are (number, type, count, value)."""
    entries = b"".join(struct.pack("<HHI", *head) + value for *head, value in tags)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    image, buffer = Image.new("RGB", (40, 40), "red"), io.BytesIO()
    image.paste("blue", (0, 0, 20, 40))
    image.save(buffer, format="JPEG", exif=exif)
    return buffer.getvalue()


TURN = (0x0112, 3, 1, struct.pack("<I", 6))  # the camera was turned by a quarter


TEXT = (0x011A, 2, 3, b"ab\0\0")  # a resolution that is not a number: Pillow cannot write it again
