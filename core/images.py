"""Images as arrays, as grids and as PNG files."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Pixels = NDArray[np.uint8]
"""uint8 [n, height, width, channels] or [height, width, channels]; 3 channels (RGB) or 1 (grey)."""

_MAX_PNG_PIXELS = 2**26
_PNG_ERRORS = (
    OSError,
    SyntaxError,
    EOFError,
    LookupError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def tile(images: Pixels, columns: int | None = None) -> Pixels:
    """Arranges images row by row in a grid.

    Args:
        images: uint8 [n, H, W, C], n 1 or more.
        columns: images in a row; by default ceil(sqrt(n)).

    Returns:
        uint8 [rows * H, columns * W, C]. Unused cells are black.
    """
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)

    grid = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    grid[:n] = images
    grid = grid.reshape(rows, columns, height, width, channels)
    grid = grid.transpose(0, 2, 1, 3, 4)  # [rows, H, columns, W, C]
    return grid.reshape(rows * height, columns * width, channels)


def untile(grid: Pixels, n: int, columns: int) -> Pixels:
    """Cuts the first n images out of a grid; the inverse of `tile`.

    Returns:
        uint8 [n, H, W, C].

    Raises:
        ValueError: if the size of the grid is not a multiple of its rows and columns.
    """
    rows = math.ceil(n / columns)
    total_height, total_width, channels = grid.shape
    if total_height % rows or total_width % columns:
        raise ValueError(
            f"a picture of {total_width} x {total_height} pixels "
            f"is not a grid of {columns} x {rows} images"
        )

    height = total_height // rows
    width = total_width // columns
    cells = grid.reshape(rows, height, columns, width, channels).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(cells.reshape(rows * columns, height, width, channels)[:n])


def to_pillow(image: Pixels) -> Image.Image:
    """Converts one image [H, W, C] to Pillow, with mode RGB, or L if it has one channel."""
    array = image[:, :, 0] if image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(array))


def encode_png(image: Pixels, text: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Encodes one image [H, W, C] as PNG; equal pixels give equal bytes in one build of Pillow.

    Args:
        image: uint8 [H, W, C].
        text: text fields of the file.
    """
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def decode_png(data: bytes) -> Pixels:
    """Decodes a PNG in grey or RGB to uint8 [H, W, C].

    Raises:
        ValueError: if it is no such PNG, or has over 2^26 pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB"):
                raise ValueError(f"the PNG has mode {image.mode}, not L or RGB")
            if image.width * image.height > _MAX_PNG_PIXELS:
                raise ValueError(f"the PNG has {image.width} x {image.height} pixels")
            array = np.asarray(image)
    except _PNG_ERRORS as error:
        raise ValueError(f"not a readable PNG: {error!s:.200}") from None

    return array[:, :, None] if array.ndim == 2 else array
