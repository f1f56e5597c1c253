"""Images as notebooks show them."""

import pickle

import numpy as np
import pytest

from dcgan.core.images import decode_png, tile
from dcgan.serving.client.images import Images


def shown(array: np.ndarray) -> np.ndarray | None:
    png = array.view(Images)._repr_png_()
    return None if png is None else decode_png(png)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_a_grid_and_small_ones_are_enlarged(channels):
    images = random(5, 32, 32, channels)
    wanted = tile(images, 5)
    assert np.array_equal(shown(images), wanted)
    assert np.array_equal(shown(images[:2]), tile(images[:2], 2).repeat(4, 0).repeat(4, 1))


def test_one_image_is_shown_alone():
    image = random(64, 64, 3)
    assert np.array_equal(shown(image), image.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize(
    "shape",
    [(1000, 64, 64, 3), (9, 512, 512, 1), (2, 1, 1, 3), (3, 1500, 10, 3), (4, 1025, 2000, 1)],
)
def test_a_picture_has_at_most_1024_pixels_on_each_side(shape):
    picture = shown(np.zeros(shape, np.uint8))
    assert max(picture.shape) <= 1024


def test_the_first_64_are_shown():
    images = random(100, 64, 64, 3)
    assert np.array_equal(shown(images), tile(images[:64], 8))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.array(3, np.uint8),
    ],
)
def test_other_arrays_are_shown_as_text(array):
    assert shown(array) is None


def test_replies_are_such_arrays_and_act_as_any_array(client):
    images = client.generate(7, 3)
    assert isinstance(images, Images)
    assert images[0]._repr_png_().startswith(b"\x89PNG")
    for computed in (images / 255, images == 0, images.max(0), images.astype(float) * 2):
        assert type(computed) is np.ndarray
    assert (images >= 0).all() is np.True_
    assert np.array_equal(pickle.loads(pickle.dumps(images)), images)
    assert np.asarray(images).base is not None
    streamed = next(iter(client.stream(7, 3)))
    assert isinstance(streamed, Images)
