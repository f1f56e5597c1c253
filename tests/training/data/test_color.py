"""Conversion of images of any mode to 8 bits in sRGB."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from dcgan.training.data.color import (
    flatten,
    is_deep,
    max_level,
    profile_of,
    scale_deep,
    to_profile_mode,
    to_srgb,
    turn_upright,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_an_image_without_exif_stays_as_it_is():
    image = Image.new("RGB", (3, 2))
    assert turn_upright(image) is image


def test_transparent_pixels_become_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (9, 9, 9, 255))
    flat = flatten(image).convert("RGB")
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (9, 9, 9)]


def test_floating_point_images_are_refused():
    with pytest.raises(ValueError, match="floating-point numbers"):
        flatten(Image.new("F", (2, 2)))


def test_only_images_of_more_than_8_bits_are_deep():
    assert is_deep(Image.new("I;16", (1, 1)))
    assert is_deep(Image.new("I", (1, 1)))
    assert not any(is_deep(Image.new(mode, (1, 1))) for mode in ("1", "L", "RGB", "P", "F"))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_images_are_scaled_by_their_depth(bits):
    levels = np.array([[0, 2 ** (bits - 1), 2**bits - 1]], dtype=np.uint16)
    image = Image.fromarray(levels)
    assert max_level(image) == 2**bits - 1
    assert np.asarray(scale_deep(image, bits)).tolist() == [[0, 128, 255]]


def test_plain_integers_below_256_are_levels():
    image = Image.fromarray(np.array([[100]], dtype=np.int32))
    assert np.asarray(scale_deep(image, 16)).tolist() == [[100]]


def test_profiles_that_are_srgb_or_damaged_are_not_used():
    image = Image.new("RGB", (1, 1))
    for profile in (SRGB, b"no profile", b"", bytes(2**24)):
        image.info["icc_profile"] = profile
        assert profile_of(image) is None
    image.info["icc_profile"] = LAB
    assert profile_of(image) == LAB


def test_a_profile_of_another_color_space_changes_nothing():
    image = Image.new("L", (1, 1), 77)
    assert to_srgb(image, LAB) is image


def test_palettes_are_converted_before_a_profile_is_applied():
    assert to_profile_mode(Image.new("P", (1, 1))).mode == "RGB"
    assert to_profile_mode(Image.new("CMYK", (1, 1))).mode == "CMYK"
