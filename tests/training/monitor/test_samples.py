"""Sample grids and their animation."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.core import noise
from dcgan.core.images import encode_png
from dcgan.training.models.networks import Generator
from dcgan.training.monitor.samples import draw_grid, encode_animation, fixed_latents, step_grids


def test_a_grid_shows_the_images_that_a_server_would_make_of_the_seed(small):
    torch.manual_seed(0)
    generator = Generator(small.generator).eval()
    z = fixed_latents(9, 6)
    assert torch.equal(z, torch.from_numpy(noise.latents(9, 0, 64, 6)))
    assert draw_grid(generator, z).shape == (8 * 32, 8 * 32, 3)


def test_grey_models_have_grey_grids(small):
    generator = Generator(replace(small.generator, channels=1)).eval()
    assert draw_grid(generator, fixed_latents(0, 6)).shape == (256, 256, 1)


def test_grids_have_the_order_of_their_steps_beyond_a_million(tmp_path):
    names = ["step-000100.png", "step-999900.png", "step-1000000.png", "step-1000100.png"]
    for name in [*names, "real.png", "epoch-0001.png"]:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in step_grids(tmp_path)] == names


@pytest.mark.hostile(
    "Damaged, huge and odd pictures in a stranger's samples/", "left out of the animation"
)
def test_grids_that_cannot_be_read_are_left_out_of_the_animation(tmp_path):
    grid = np.zeros((16, 16, 3), np.uint8)
    contents = [
        encode_png(grid),
        b"not a picture",
        encode_png(grid)[:40],
        encode_png(np.zeros((2**11, 2**10, 3), np.uint8)),
        encode_png(grid[:8]),
        encode_png(grid + 9),
    ]
    paths = [tmp_path / f"step-{i}.png" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)

    with Image.open(
        io.BytesIO(encode_animation([*paths[:-1], tmp_path / "none", paths[-1]]))
    ) as it:
        assert (it.n_frames, it.size) == (2, (16, 16))
    assert encode_animation(paths[1:4]) is None
