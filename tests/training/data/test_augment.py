"""Differentiable augmentation."""

import pytest
import torch

from dcgan.training.data.augment import DRAWS, augment, perturb

pytestmark = pytest.mark.numerical


@pytest.mark.parametrize("name", ["colour", "translation", "cutout"])
def test_an_augmentation_is_differentiable_and_depends_on_the_draws_of_each_image(name):
    images = torch.rand(4, 3, 32, 32, requires_grad=True)
    draws = torch.rand(4, DRAWS)
    changed = augment(images, (name,), draws)
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    changed.square().sum().backward()
    assert torch.isfinite(images.grad).all()
    alone = augment(images[2:3], (name,), draws[2:3])
    assert torch.allclose(alone, changed[2:3], atol=1e-6)


def test_translation_moves_by_whole_pixels_and_fills_with_grey():
    images = torch.ones(1, 1, 32, 32)
    draws = torch.zeros(1, DRAWS)  # the lowest draw: the window moves up and left by 4
    moved = augment(images, ("translation",), draws)[0, 0]
    assert moved.sum() == 28 * 28
    assert (moved[4:, 4:] == 1).all()
    assert (augment(images, ("translation",), torch.full((1, DRAWS), 0.5)) == 1).all()


def test_cutout_greys_a_square_of_half_the_size():
    cut = augment(torch.ones(1, 1, 32, 32), ("cutout",), torch.full((1, DRAWS), 0.5))[0, 0]
    assert (cut == 0).sum() == 16 * 16
    assert (cut[8:24, 8:24] == 0).all()


def test_colour_at_its_middle_changes_nothing():
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(
        augment(images, ("colour",), torch.full((2, DRAWS), 0.5)), images, atol=1e-6
    )


def test_colour_is_brightness_then_saturation_then_contrast():
    images, draws = torch.rand(4, 3, 8, 8) * 2 - 1, torch.rand(4, DRAWS)
    brightness, saturation, contrast = (draws[:, i, None, None, None] for i in range(3))
    expected = images + (brightness - 0.5)
    grey = expected.mean(dim=1, keepdim=True)
    expected = (expected - grey) * (2 * saturation) + grey
    mean = expected.mean(dim=(1, 2, 3), keepdim=True)
    expected = (expected - mean) * (contrast + 0.5) + mean
    assert torch.allclose(augment(images, ("colour",), draws), expected, atol=1e-6)


@pytest.mark.slow
def test_first_and_second_gradients_are_right():
    source = torch.Generator().manual_seed(0)
    images = torch.rand(4, 2, 16, 16, dtype=torch.float64, generator=source).requires_grad_()
    draws = torch.rand(4, DRAWS, generator=source)

    def change(x: torch.Tensor) -> torch.Tensor:
        return augment(
            x, ("translation", "cutout"), draws, 0.9
        )  # colour takes its means in float32

    torch.autograd.gradcheck(change, images)
    torch.autograd.gradgradcheck(change, images)


def test_some_images_are_not_augmented_at_all():
    images, draws = torch.rand(256, 3, 8, 8), torch.rand(256, DRAWS)
    changed = augment(images, ("colour", "translation", "cutout"), draws, 0.25)
    same = (changed == images).all(dim=3).all(dim=2).all(dim=1)
    assert torch.equal(~same, draws[:, 7] < 0.25)
    assert 0 < same.sum() < 256


def test_changes_of_consistency_regularization_are_a_shift_and_a_mirror_image():
    images = torch.rand(64, 3, 16, 16) * 2 - 1
    draws = torch.rand(64, DRAWS)
    changed = perturb(images, draws, flip=True)
    shifted = perturb(images, draws, flip=False)
    mirrored = draws[:, 7] < 0.5
    assert 0 < mirrored.sum() < 64
    assert torch.equal(changed[~mirrored], shifted[~mirrored])
    assert torch.equal(changed[mirrored], shifted[mirrored].flip(3))

    limit = 16 // 8
    for image, result, draw in zip(images, shifted, draws, strict=True):
        y, x = (int(value * (2 * limit + 1)) - limit for value in draw[3:5])
        padded = torch.nn.functional.pad(image, (limit, limit, limit, limit))
        window = padded[:, limit + y : limit + y + 16, limit + x : limit + x + 16]
        assert torch.equal(result, window)
