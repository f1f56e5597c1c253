"""Batches are a pure function of the step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader

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
    loader = BatchLoader(numbered(20), small, 0, CPU)
    batches = [loader.batch(step) for step in range(loader.steps_per_epoch)]
    assert [len(batch.real) for batch in batches] == [8, 8, 4]
    assert [len(batch.z) for batch in batches] == [8, 8, 4]
    assert sorted(number for batch in batches for number in numbers(batch.real)) == list(range(20))
    assert [loader.images_seen(step) for step in range(5)] == [0, 8, 16, 20, 28]


def test_whole_batches_drop_the_incomplete_one(small):
    loader = BatchLoader(numbered(20), replace(small, whole_batches=True), 0, CPU)
    assert loader.steps_per_epoch == 2
    assert [loader.images_seen(step) for step in range(4)] == [0, 8, 16, 24]


def test_batches_do_not_depend_on_the_order_of_calls(small):
    recipe = replace(small, flip=True)
    forward, backward = (BatchLoader(numbered(20), recipe, 5, CPU) for _ in range(2))
    there = [forward.batch(step) for step in range(7)]
    back = [backward.batch(step) for step in reversed(range(7))][::-1]
    for a, b in zip(there, back, strict=True):
        assert torch.equal(a.real, b.real)
        assert torch.equal(a.z, b.z)
        assert torch.equal(a.augment, b.augment)


def test_enlarging_equals_the_transforms_of_the_seed(small):
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    data = Dataset(name="noise", images=images, labels=None, class_names=(), sha256="0" * 64)
    ours = BatchLoader(data, small, 0, CPU).preview(8)
    seed = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Resize(32), v2.Normalize([0.5] * 3, [0.5] * 3)]
    )
    theirs = seed(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_about_half_of_the_images_are_mirrored(small):
    data = numbered(200)
    data.images[:, :, 0] = 255  # the left column
    loader = BatchLoader(data, replace(small, flip=True, batch_size=200), 0, CPU)
    real = loader.batch(0).real
    left, right = (real[:, 0, 0, column] > 0.99 for column in (0, -1))
    assert torch.equal(left, ~right)
    assert 70 < left.sum() < 130


def test_a_preview_is_spread_over_the_data(small):
    loader = BatchLoader(numbered(200), small, 0, CPU)
    assert torch.equal(loader.preview(4), loader._prepare(loader._images[[0, 50, 100, 150]]))
    assert torch.equal(loader.preview(300), loader._prepare(loader._images))
