"""Conversion of images of any mode to 8 bits in sRGB."""

import pytest
from PIL import Image, ImageCms

from dcgan.training.data.color import (
    flatten,
    is_transparent,
    parse_background,
    profile_of,
    read_orientation,
    to_profile_mode,
    to_srgb,
    turn_upright,
)
from dcgan.training.errors import TrainingError

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


@pytest.mark.parametrize(
    ("background", "pixel"),
    [("black", (0, 0, 0)), ("#102030", (16, 32, 48)), ("white", (255, 255, 255))],
)
def test_transparent_pixels_become_the_background(background, pixel):
    image = Image.new("RGBA", (2, 1), (200, 100, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 255))
    flat = flatten(image, background).convert("RGB")
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [pixel, (200, 100, 0)]


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("White", "white"),
        ("#FFFFFF", "white"),
        ("#000000", "black"),
        ("black", "black"),
        ("#A0b1C2", "#a0b1c2"),
    ],
)
def test_a_background_has_one_spelling(text, color):
    assert parse_background(text) == color


@pytest.mark.parametrize(
    "text", ["", "red", "#fff", "#12345g", "#1234567", "rgb(0,0,0)", "#\u0661"]
)
def test_other_backgrounds_are_refused(text):
    with pytest.raises(TrainingError, match="--background takes white, black or #rrggbb, not"):
        parse_background(text)


def test_only_images_with_pixels_that_are_not_opaque_are_transparent():
    assert is_transparent(Image.new("RGBA", (1, 1), (0, 0, 0, 254)))
    assert is_transparent(Image.new("LA", (1, 1)))
    assert not is_transparent(Image.new("RGBA", (1, 1), (0, 0, 0, 255)))
    assert not is_transparent(Image.new("RGB", (1, 1)))


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
