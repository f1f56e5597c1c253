"""Conversion of images of any mode to 8 bits in sRGB."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from dcgan.training.data import strips
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


@pytest.mark.hostile(
    "A transparent image at the limit of pixels", "laid on the background in strips"
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_strips_give_what_the_whole_image_gives(monkeypatch, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 7, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    if mode in ("P", "RGB"):
        image.info["transparency"] = 3 if mode == "P" else tuple(map(int, pixels[5, 5, :3]))
    layer = image.convert("RGBA")
    whole = Image.alpha_composite(Image.new("RGBA", layer.size, "#102030"), layer)
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 20)
    assert is_transparent(image)
    flat = flatten(image, "#102030")
    for channels in ("RGB", "L"):
        assert flat.convert(channels).tobytes() == whole.convert(channels).tobytes()


def test_a_large_transparent_image_takes_memory_for_its_pixels_and_their_result(monkeypatch):
    largest = []
    compose = Image.alpha_composite

    def watch(base, layer):
        largest.append(layer.width * layer.height)
        return compose(base, layer)

    monkeypatch.setattr(Image, "alpha_composite", watch)
    flatten(Image.new("RGBA", (4096, 2048)))
    assert max(largest) <= 2**20


@pytest.mark.hostile(
    "An EXIF orientation of millions of values, in PNG, WebP or AVIF", "ignored, unread"
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("key", ["exif", "Raw profile type exif"])
def test_an_orientation_of_millions_of_values_is_ignored(monkeypatch, order, key):
    count = 10**6
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    table = struct.pack(f"{order}HHHIII", 1, 0x0112, 3, count, 26, 0)
    data = b"Exif\0\0" + head + table + bytes(2 * count)
    image = Image.new("RGB", (3, 2))
    image.info[key] = data if key == "exif" else "\nexif\n9\n" + data.hex()
    monkeypatch.setattr(Image.Image, "getexif", lambda _: pytest.fail("read"))
    assert read_orientation(image) is None


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
