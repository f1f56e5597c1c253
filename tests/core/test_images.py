"""Grids and PNG files."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcgan.core.images import decode_png, encode_png, tile, untile


def images(n: int, channels: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 4, 6, channels), dtype=np.uint8)


@given(n=st.integers(1, 40), columns=st.integers(1, 12), channels=st.sampled_from([1, 3]))
def test_what_is_tiled_can_be_cut_out_again(n: int, columns: int, channels: int):
    batch = images(n, channels)
    assert np.array_equal(untile(tile(batch, columns), n, columns), batch)


def test_a_grid_is_filled_row_by_row_and_black_where_empty():
    batch = images(3, 3)
    grid = tile(batch)
    assert grid.shape == (8, 12, 3)
    assert np.array_equal(grid[:4, 6:], batch[1])
    assert np.array_equal(grid[4:, :6], batch[2])
    assert not grid[4:, 6:].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_keeps_every_pixel_and_repeats_its_bytes(channels: int):
    image = images(1, channels)[0]
    data = encode_png(image)
    assert np.array_equal(decode_png(data), image)
    assert encode_png(image.copy()) == data


@pytest.mark.parametrize("data", [b"", b"GIF89a", encode_png(images(1, 3)[0])[:40]])
def test_what_is_no_png_is_refused(data: bytes):
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_png(data)


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="is not a grid of"):
        untile(np.zeros((4, 7, 1), np.uint8), 2, 2)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of any chunks, with right checksums."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content)
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    return data


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)


IMAGE = (b"IDAT", zlib.compress(bytes(100)))
TEXT_BOMB = (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))


@pytest.mark.hostile(
    "A golden picture of 2^27 x 1 pixels, with a second header, or with texts that unfold to "
    "gigabytes",
    "refused before it is decoded",
)
@pytest.mark.parametrize(
    "data",
    [
        png(header(2**27, 1), IMAGE),
        png(header(10**4, 10**4), IMAGE),
        png(header(2**31 - 1, 2**31 - 1), IMAGE),
        png(header(2, 2), header(2**16, 2**12), IMAGE),
        png((b"IHDR", b"\0\0\0\1"), IMAGE),
        png(TEXT_BOMB, header(2, 2), IMAGE),
        png(header(2, 2), *[TEXT_BOMB] * 3, IMAGE),
    ],
    ids=["a long row", "1e8", "2^62", "a second header", "short", "text first", "texts"],
)
def test_a_bomb_in_a_png_is_refused_before_it_is_decoded(data: bytes):
    tracemalloc.start()
    with pytest.raises(ValueError, match="PNG|IHDR|too large"):
        decode_png(data)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
