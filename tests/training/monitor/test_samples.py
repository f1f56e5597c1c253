"""Sample grids and their animation."""

from dataclasses import replace

import torch

from dcgan.core import noise
from dcgan.training.models.networks import Generator
from dcgan.training.monitor.samples import draw_grid, fixed_latents


def test_a_grid_shows_the_images_that_a_server_would_make_of_the_seed(small):
    torch.manual_seed(0)
    generator = Generator(small.generator).eval()
    z = fixed_latents(9, 6)
    assert torch.equal(z, torch.from_numpy(noise.latents(9, 0, 64, 6)))
    assert draw_grid(generator, z).shape == (8 * 32, 8 * 32, 3)


def test_grey_models_have_grey_grids(small):
    generator = Generator(replace(small.generator, channels=1)).eval()
    assert draw_grid(generator, fixed_latents(0, 6)).shape == (256, 256, 1)
