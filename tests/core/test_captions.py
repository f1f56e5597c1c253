"""Captions under images."""

import numpy as np
import pytest

from dcgan.core.captions import add_captions


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_with_the_caption_is_added_under_each_image(channels):
    images = np.full((2, 64, 64, channels), 7, np.uint8)
    captioned = add_captions(images, ["0", "17"])
    assert captioned.shape == (2, 64 + 15, 64, channels)
    assert np.array_equal(captioned[:, :64], images)
    strips = captioned[:, 64:]
    assert set(np.unique(strips)) == {0, 255}
    assert not np.array_equal(strips[0], strips[1])


def test_equal_captions_are_equal_pictures():
    images = np.zeros((2, 64, 64, 3), np.uint8)
    first, second = add_captions(images, ["42", "42"])
    assert np.array_equal(first, second)


def test_a_long_caption_is_broken_into_lines_and_nothing_is_cut_off():
    images = np.zeros((2, 32, 32, 1), np.uint8)
    seed = str(2**64 - 1)  # 20 digits, of which 5 fit in a line
    captioned = add_captions(images, [seed, "1"])
    assert captioned.shape[1] == 32 + 4 * 11 + 4
    one_line = add_captions(np.zeros((1, 200, 120, 1), np.uint8), [seed])
    assert np.count_nonzero(captioned[0]) == np.count_nonzero(one_line)


def test_captions_grow_with_their_images():
    small = add_captions(np.zeros((1, 64, 64, 1), np.uint8), ["5"])[:, 64:]
    large = add_captions(np.zeros((1, 256, 256, 1), np.uint8), ["5"])[:, 256:]
    assert np.count_nonzero(large) == 4 * np.count_nonzero(small)


def test_images_narrower_than_a_character_and_other_characters_do_no_harm():
    assert add_captions(np.zeros((1, 3, 3, 3), np.uint8), ["é1"]).shape == (1, 3 + 26, 3, 3)
