"""Pictures of an evaluation: images of a set beside their nearest real images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels, encode_png, tile
from dcgan.evaluation.neighbours import Neighbours
from dcgan.evaluation.preprocess import shrink

COLUMNS = 16
_WHITE = 255


def draw_grid(images: Pixels, real: Pixels, neighbours: Neighbours) -> bytes:
    """Draws pairs of rows: images above, their nearest real images below.

    The first pair of rows are images 0, 1, ... (not chosen); the second those that lie nearest to a
    real one, where memorized images would show; the third those that lie farthest from all of them.

    Args:
        images: uint8 [n, H, H, C].
        real: uint8 [m, R, R, C].
        neighbours: of the images among the real ones.

    Returns:
        A PNG file, of the smaller of both sizes.
    """
    size = min(images.shape[1], real.shape[1])
    columns = min(COLUMNS, len(images))
    order = np.argsort(neighbours.distances, kind="stable")
    choices = (np.arange(columns), order[:columns], order[::-1][:columns])

    bands = [_pair(images, real, neighbours, chosen, size) for chosen in choices]
    gap = np.full((size // 4, *bands[0].shape[1:]), _WHITE, dtype=np.uint8)
    return encode_png(np.concatenate([bands[0], gap, bands[1], gap, bands[2]]))


def _pair(
    images: Pixels,
    real: Pixels,
    neighbours: Neighbours,
    chosen: NDArray[np.int64],
    size: int,
) -> Pixels:
    above = shrink(images[chosen], size)
    below = shrink(real[neighbours.nearest[chosen]], size)
    return tile(np.concatenate([above, below]), columns=len(chosen))
