"""Batches: a pure function of the step, faithful to the images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from dcgan.training.data.augment import DRAWS, augment
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import Feed

pytestmark = pytest.mark.numerical

CPU = torch.device("cpu")


def numbered(n: int, size: int = 32) -> Dataset:
    """Images whose pixels all hold their own number."""
    images = np.broadcast_to(
        np.arange(n, dtype=np.uint8)[:, None, None, None], (n, size, size, 3)
    ).copy()
    return Dataset(name="numbers", images=images, labels=None, class_names=(), sha256="0" * 64)


def numbers(real: torch.Tensor) -> list[int]:
    return ((real[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_an_epoch_shows_every_image_once_the_last_batch_being_smaller(small):
    feed = Feed(numbered(20), small, 0, CPU)
    batches = [feed.batch(step) for step in range(feed.steps_per_epoch)]
    assert [len(batch.real) for batch in batches] == [8, 8, 4]
    assert [len(batch.z) for batch in batches] == [8, 8, 4]
    assert sorted(number for batch in batches for number in numbers(batch.real)) == list(range(20))
    assert [feed.images_seen(step) for step in range(5)] == [0, 8, 16, 20, 28]


def test_whole_batches_leave_the_rest_out(small):
    feed = Feed(numbered(20), replace(small, whole_batches=True), 0, CPU)
    assert feed.steps_per_epoch == 2
    assert [feed.images_seen(step) for step in range(4)] == [0, 8, 16, 24]


def test_any_step_can_be_asked_for_in_any_order(small):
    recipe = replace(small, flip=True)
    forward, backward = (Feed(numbered(20), recipe, 5, CPU) for _ in range(2))
    there = [forward.batch(step) for step in range(7)]
    back = [backward.batch(step) for step in reversed(range(7))][::-1]
    for a, b in zip(there, back, strict=True):
        assert torch.equal(a.real, b.real)
        assert torch.equal(a.z, b.z)
        assert torch.equal(a.augment, b.augment)


def test_enlarging_equals_the_transforms_of_the_seed(small):
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    data = Dataset(name="noise", images=images, labels=None, class_names=(), sha256="0" * 64)
    ours = Feed(data, small, 0, CPU).some_images(8)
    seed = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Resize(32), v2.Normalize([0.5] * 3, [0.5] * 3)]
    )
    theirs = seed(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_about_half_of_the_images_are_mirrored(small):
    data = numbered(200)
    data.images[:, :, 0] = 255  # the left column
    feed = Feed(data, replace(small, flip=True, batch_size=200), 0, CPU)
    real = feed.batch(0).real
    left, right = (real[:, 0, 0, column] > 0.99 for column in (0, -1))
    assert torch.equal(left, ~right)
    assert 70 < left.sum() < 130


@pytest.mark.parametrize("name", ["colour", "translation", "cutout"])
def test_an_augmentation_changes_images_smoothly_and_each_by_its_own_draws(name):
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


def test_cutout_paints_a_square_of_half_the_size():
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


def test_the_gradients_of_every_augmentation_are_right_twice():
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


def test_some_images_are_from_all_over_the_data(small):
    feed = Feed(numbered(200), small, 0, CPU)
    assert torch.equal(feed.some_images(4), feed._prepare(feed._images[[0, 50, 100, 150]]))
    assert torch.equal(feed.some_images(300), feed._prepare(feed._images))
