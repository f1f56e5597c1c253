"""How many pixels an image may have."""

import io

import pytest
from PIL import Image

from dcgan.training.data import pixel_limit
from dcgan.training.errors import TrainingError
from tests.training.data.image_files import flat, load, png, raw_png

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6  # color types of PNG


@pytest.mark.hostile(
    "Images of 16 bits or with transparency that would take 3 GB",
    "refused above 67 million pixels, half of what others may have",
)
@pytest.mark.parametrize(
    ("bits", "color_type"),
    [(16, GREY), (16, RGB), (16, GREY_ALPHA), (16, RGBA), (8, GREY_ALPHA), (8, RGBA)],
)
def test_images_that_take_much_memory_may_have_half_the_pixels(tmp_path, bits, color_type):
    (tmp_path / "a.png").write_bytes(raw_png(9000, 8000, bits, color_type, b""))
    with pytest.raises(TrainingError, match=r"a.png .* 9000 x 8000 pixels, more than 67,108,864"):
        load(tmp_path)


@pytest.mark.parametrize("color_type", [GREY, RGB])
def test_plain_images_may_have_more_pixels(tmp_path, color_type):
    (tmp_path / "a.png").write_bytes(raw_png(9000, 8000, 8, color_type, b""))
    with pytest.raises(TrainingError, match="cannot be decoded"):  # it holds no pixels
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.avif", "a.jp2", "a.webp", "i.tif"])
def test_formats_and_modes_that_take_much_memory_are_known(tmp_path, monkeypatch, name):
    monkeypatch.setattr(pixel_limit, "_MAX_COSTLY_PIXELS", 1599)
    Image.new("I" if name == "i.tif" else "RGB", (40, 40)).save(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name} .* 40 x 40 pixels, more than 1,599"):
        load(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    assert load(tmp_path).images.mean() == 7


@pytest.mark.hostile("An animation of thousands of frames as an image", "only the first is decoded")
def test_only_the_first_frame_of_an_animation_is_decoded(tmp_path):
    frames = [Image.new("L", (40, 40), level) for level in (7, 250)]
    animation = io.BytesIO()
    frames[0].save(animation, format="GIF", save_all=True, append_images=frames[1:])
    data = animation.getvalue()
    second = data.rindex(b"\x21\xf9")
    (tmp_path / "a.gif").write_bytes(data[:second] + (b"\x21\xf9" + b"\xff" * 40) * 10_000)
    assert load(tmp_path).images.mean() == 7
