"""Formats of the images in a reply, for gRPC and HTTP."""

from __future__ import annotations

from enum import Enum


class ImageFormat(Enum):
    """How images are encoded.

    Attributes:
        RGB8: raw pixels, one byte per channel.
        PNG: one PNG file per image.
        PNG_GRID: one PNG file that shows all images of the reply in a near-square grid.
    """

    RGB8 = "rgb8"
    PNG = "png"
    PNG_GRID = "png_grid"

    @property
    def is_png(self) -> bool:
        """Whether the images pass through the PNG queue."""
        return self is not ImageFormat.RGB8
