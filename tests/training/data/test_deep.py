"""Images with more than 8 bits per channel."""

import io
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from dcgan.training.data.deep import max_level, read_levels, scale_levels
from tests.training.data.image_files import load, png, raw_png


def deep_png(levels: np.ndarray) -> bytes:
    """A PNG of 16 bits per channel in color or with an alpha channel, which Pillow cannot write."""
    height, width, channels = levels.shape
    color_type = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return raw_png(width, height, 16, color_type, rows)


def deep_tiff(levels: np.ndarray, order: str, compression: int) -> bytes:
    """A TIFF of 16 bits per channel in RGB: compression 1 is none, 8 is Deflate."""
    height, width, channels = levels.shape
    pixels = levels.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if compression == 8 else pixels
    entries = {256: width, 257: height, 258: 0, 259: compression, 262: 2}
    entries |= {273: 0, 277: channels, 278: height, 279: len(pixels), 284: 1}
    depths = struct.pack(f"{order}{channels}H", *[16] * channels)
    entries[258] = 8 + 2 + 12 * len(entries) + 4
    entries[273] = entries[258] + len(depths)
    table = b"".join(
        struct.pack(f"{order}HHI", tag, 3, channels) + struct.pack(f"{order}I", value)
        if tag == 258
        else struct.pack(f"{order}HHII", tag, 4, 1, value)
        for tag, value in entries.items()
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, len(entries))
    return head + table + bytes(4) + depths + pixels


def read(data: bytes) -> np.ndarray | None:
    return read_levels(Image.open(io.BytesIO(data)), partial(Image.open, io.BytesIO(data)))


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**16, (5, 7, 3)).astype(np.uint16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_all_16_bits_of_a_tiff_in_color_are_read(levels, order, compression):
    np.testing.assert_array_equal(read(deep_tiff(levels, order, compression)), levels)


def test_all_16_bits_of_a_png_in_color_are_read(levels):
    np.testing.assert_array_equal(read(deep_png(levels)), levels)
    with_alpha = np.dstack([levels, levels[..., :1]])
    np.testing.assert_array_equal(read(deep_png(with_alpha)), with_alpha)


def test_grey_with_alpha_is_read_too(levels):
    grey, alpha = levels[..., 0], levels[..., 1]
    read_back = read(deep_png(levels[..., :2]))
    np.testing.assert_array_equal(read_back, np.dstack([grey, grey, grey, alpha]))


def test_images_of_8_bits_are_not_deep():
    for mode in ("1", "L", "RGB", "RGBA", "P", "CMYK", "F"):
        assert read_levels(Image.new(mode, (1, 1)), pytest.fail) is None
    assert read(png(np.full((2, 2, 3), 9, dtype=np.uint8))) is None


@pytest.mark.parametrize(("brightest", "expected"), [(255, 100), (60_000, 0)])
def test_the_whole_source_tells_whether_integers_are_of_8_bits(tmp_path, brightest, expected):
    for name, level in (("a", 100), ("b", brightest)):
        Image.fromarray(np.full((40, 40), level, dtype=np.int32)).save(tmp_path / f"{name}.tif")
    dark, bright = load(tmp_path).images
    assert (dark == expected).all()
    assert (bright == {255: 255, 60_000: 234}[brightest]).all()


def test_a_dark_frame_of_16_bits_stays_dark(tmp_path):
    for name, level in (("a", 200), ("b", 60_000)):
        pixels = np.full((40, 40), level, dtype=">u2").tobytes()
        (tmp_path / f"{name}.pgm").write_bytes(b"P5\n40 40\n65535\n" + pixels)
    assert [image.max() for image in load(tmp_path).images] == [0, 234]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_levels_are_scaled_by_their_depth(bits):
    levels = np.array([[0, 2 ** (bits - 1), 2**bits - 1]], dtype=np.uint16)
    assert max_level(levels) == 2**bits - 1
    assert np.asarray(scale_levels(levels, bits)).tolist() == [[0, 128, 255]]


def test_an_alpha_channel_may_be_deeper_than_the_colors():
    levels = np.array([[[0, 2**11, 2**12 - 1, 2**16 - 1]]], dtype=np.uint16)
    assert max_level(levels) == 2**12 - 1
    assert np.asarray(scale_levels(levels, 12)).tolist() == [[[0, 128, 255, 255]]]


@pytest.mark.parametrize(("bits", "level"), [(10, 2**9), (12, 2**11), (14, 2**13), (16, 2**15)])
def test_color_images_are_scaled_by_the_bits_that_they_use(tmp_path, bits, level):
    deep = np.full((40, 40, 3), level, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(deep_png(deep))
    (tmp_path / "b.tif").write_bytes(deep_tiff(deep // 2, ">", 8))
    data = load(tmp_path)
    assert data.images.mean(axis=(1, 2, 3)).tolist() == [128, 64]
    told = [f"the 16-bit images in {tmp_path.name} use {bits} bits only; they are scaled by those"]
    assert list(data.notes) == (told if bits < 16 else [])
