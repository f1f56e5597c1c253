import numpy as np

from dcgan.core.images import decode_png
from dcgan.evaluation.grid import COLUMNS, draw_grid
from dcgan.evaluation.neighbours import Neighbours


def test_it_shows_images_above_their_nearest_real_ones(make_images):
    images, real = make_images(20, size=64), make_images(30, seed=1)
    neighbours = Neighbours(
        precision=1,
        recall=1,
        density=1,
        coverage=1,
        nearest=np.arange(20) + 5,
        distances=np.arange(20, dtype=np.float32)[::-1].copy(),
    )
    grid = decode_png(draw_grid(images, real, neighbours))

    assert grid.shape == (3 * 64 + 2 * 8, COLUMNS * 32, 3)
    assert (grid[32:64, :32] == real[5]).all()
    assert (grid[72 + 32 : 72 + 64, :32] == real[24]).all()  # the nearest is image 19
    assert (grid[144 + 32 : 144 + 64, :32] == real[5]).all()  # the farthest is image 0
