"""Conversion of images of any mode to 8 bits in sRGB."""

import pytest
from PIL import Image, ImageCms

from dcgan.training.data.color import (
    flatten,
    profile_of,
    read_orientation,
    to_profile_mode,
    to_srgb,
    turn_upright,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_an_image_without_exif_stays_as_it_is():
    image = Image.new("RGB", (3, 2))
    assert turn_upright(image, read_orientation(image)) is image


def test_transparent_pixels_become_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (9, 9, 9, 255))
    flat = flatten(image).convert("RGB")
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (9, 9, 9)]


def test_floating_point_images_are_refused():
    with pytest.raises(ValueError, match="floating-point numbers"):
        flatten(Image.new("F", (2, 2)))


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
