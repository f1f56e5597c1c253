import io
import json

import numpy as np
import pytest
from PIL import Image

from dcgan.core.images import encode_png
from dcgan.core.picture_files import resize, write_animation, write_picture


@pytest.fixture(params=[3, 1], ids=["colour", "grey"])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, request.param), np.uint8)


def read(file: bytes) -> list[np.ndarray]:
    frames = []
    with Image.open(io.BytesIO(file)) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGB")))
    return frames


def in_colour(image: np.ndarray) -> np.ndarray:
    return np.broadcast_to(image, (*image.shape[:2], 3))


def test_png_is_the_one_of_grpc(images):
    assert write_picture(images[0], "png") == encode_png(images[0])


def test_webp_has_the_same_pixels(images):
    (frame,) = read(write_picture(images[0], "webp"))
    assert np.array_equal(frame, in_colour(images[0]))


@pytest.mark.parametrize("extension", ["jpg", "gif", "PNG", ""])
def test_a_picture_in_another_format_is_refused(images, extension):
    with pytest.raises(ValueError, match="a picture is a png or webp, not"):
        write_picture(images[0], extension)


@pytest.mark.parametrize("extension", ["png", "mp4", "WEBP", ""])
def test_an_animation_in_another_format_is_refused(images, extension):
    with pytest.raises(ValueError, match="an animation is a webp or gif, not"):
        write_animation(images, extension, 50, bounce=False)


def test_a_whole_multiple_repeats_pixels(images):
    larger = resize(images, 24)
    assert larger.shape == (5, 24, 24, images.shape[3])
    assert np.array_equal(larger[:, 1::3, 1::3], images)
    assert np.array_equal(larger[:, ::3, 2::3], images)


@pytest.mark.parametrize("size", [1, 4, 7, 12, 20])
def test_other_sizes_keep_the_mean(size):
    flat = np.full((2, 8, 8, 3), 77, np.uint8)
    assert np.array_equal(resize(flat, size), np.full((2, size, size, 3), 77, np.uint8))


def test_other_sizes_use_lanczos(images):
    channels = images.shape[3]
    picture = Image.fromarray(images[0] if channels == 3 else images[0, :, :, 0])
    wanted = np.asarray(picture.resize((12, 12), Image.Resampling.LANCZOS))
    assert np.array_equal(resize(images, 12)[0], wanted.reshape(12, 12, channels))


def test_no_size_and_the_same_size_change_nothing(images):
    assert resize(images, None) is images
    assert resize(images, 8) is images


def test_an_animated_webp_has_every_frame(images):
    frames = read(write_animation(images, "webp", 50, bounce=False))
    assert len(frames) == 5
    assert all(map(np.array_equal, frames, map(in_colour, images)))


def test_an_animation_bounces(images):
    for extension in ("webp", "gif"):
        frames = read(write_animation(images, extension, 50, bounce=True))
        assert len(frames) == 8
        assert all(np.array_equal(frames[i], frames[8 - i]) for i in range(1, 4))


def test_a_gif_is_close_and_endless(images):
    file = write_animation(images, "gif", 50, bounce=False)
    with Image.open(io.BytesIO(file)) as picture:
        assert (picture.info["duration"], picture.info["loop"]) == (50, 0)
    frames = read(file)
    # 8 x 8 pixels have at most 64 colours, which fit in the palette.
    assert all(map(np.array_equal, frames, map(in_colour, images)))


def test_the_palette_of_a_large_gif_is_that_of_a_sample(monkeypatch):
    """Pillow stops all threads while it makes a palette: half a minute for large noise."""
    sizes = []
    quantize = Image.Image.quantize

    def note_size(picture, *arguments, **options):
        if "palette" not in options:
            sizes.append(picture.size)
        return quantize(picture, *arguments, **options)

    monkeypatch.setattr(Image.Image, "quantize", note_size)
    ramp = np.arange(300, dtype=np.float64) * 255 / 299
    red, green = np.meshgrid(ramp, ramp)
    large = np.stack([red, green, 255 - red], axis=-1).astype(np.uint8)[None].repeat(2, axis=0)
    frames = read(write_animation(large, "gif", 50, bounce=False))
    assert sizes == [(64, 64)] * 2
    assert np.abs(frames[0].astype(int) - large[0]).mean() < 8


def test_the_same_pixels_give_the_same_bytes(images):
    for extension in ("webp", "gif"):
        first = write_animation(images, extension, 50, bounce=True)
        assert write_animation(images.copy(), extension, 50, bounce=True) == first
    assert write_picture(images[0].copy(), "webp") == write_picture(images[0], "webp")


def test_text_is_stored_beside_the_same_pixels(images):
    text = {"dcgan:model": "tiny", "dcgan:note": "caf\u00e9"}
    with Image.open(io.BytesIO(write_picture(images[0], "png", text))) as picture:
        assert picture.text == text

    for file in (
        write_picture(images[0], "webp", text),
        write_animation(images, "webp", 50, bounce=False, text=text),
    ):
        with Image.open(io.BytesIO(file)) as picture:
            assert json.loads(picture.getexif()[0x010E]) == text
        assert np.array_equal(read(file)[0], in_colour(images[0]))
    with Image.open(
        io.BytesIO(write_animation(images, "gif", 50, bounce=False, text=text))
    ) as picture:
        assert json.loads(picture.info["comment"]) == text
