"""Images that a notebook shows as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import encode_png, tile
from dcgan.core.picture_files import enlarge, resize

_MAX_SHOWN = 64
_MAX_SIDE = 1024  # of one image in a notebook, and of a grid
_SMALL_SIDE = 256  # smaller pictures are enlarged


class Images(np.ndarray[Any, np.dtype[np.uint8]]):
    """An array of images, uint8 [n, H, W, C] or [H, W, C], that Jupyter shows as a picture.

    What is computed from it is a plain NumPy array.
    """

    def __array_wrap__(
        self,
        array: np.ndarray[Any, Any],
        context: object = None,
        return_scalar: bool = False,
    ) -> Any:  # noqa: ANN401
        """Returns the result of a NumPy function as a plain array or scalar."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def _repr_png_(self) -> bytes | None:
        """Returns a picture for IPython: a grid of the first images, at most 64.

        Returns:
            A PNG file of at most 1024 x 1024 pixels; None if the array does not hold images.
        """
        images = np.asarray(self)
        if images.ndim == 3:
            images = images[None]
        if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
            return None
        if images.shape[3] not in (1, 3):
            return None

        grid = _draw_grid(images)
        factor = _SMALL_SIDE // max(grid.shape[:2])
        return encode_png(enlarge(grid[None], max(1, factor))[0])


def _draw_grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a grid of as many images as fit; one that is too large is made smaller."""
    height, width = images.shape[1:3]
    if max(height, width) > _MAX_SIDE:
        side = max(height, width)
        square = np.zeros((1, side, side, images.shape[3]), np.uint8)
        square[:, :height, :width] = images[:1]
        smaller = resize(square, _MAX_SIDE)
        return smaller.reshape(smaller.shape[1:])

    columns = min(8, _MAX_SIDE // width)
    rows = min(8, _MAX_SIDE // height)
    shown = images[: min(_MAX_SHOWN, columns * rows)]
    return tile(shown, min(columns, len(shown)))
