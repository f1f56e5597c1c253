"""Latent vectors as a pure function of (seed, index), the same in every language and release.

The scheme is specified step by step, with test vectors, at the head of
`protos/dcgan/v1/generator.proto`. One value in about 10^9 may differ in the last bit of its
float32, where another library rounds a logarithm or a cosine differently.

The scheme uses the bit stream of Philox4x64-10 (Salmon, Moraes, Dror
and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), which NumPy promises to keep, and
its own Box-Muller transform, because NumPy does not promise to keep `standard_normal` (NEP 19). A
new way to draw noise gets a new scheme name; an old name never changes its meaning.

With NumPy alone, the words of image `i` are, with B = ceil(d / 4) blocks per image:

    key = numpy.array([seed, 0], dtype=numpy.uint64)
    numpy.random.Philox(key=key).advance(i * B).random_raw(4 * B)

A plain list as the key would go through float64, which changes most seeds of 2^63 and above.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEME = "philox4x64-boxmuller-v1"
"""Name of the only noise scheme of this release."""

INDEX_LIMIT = 2**64
"""Seeds and indices are smaller than this."""

_WORDS_PER_BLOCK = 4

# Arrays, because NumPy takes longer to convert a number of Python than to multiply the words of an
# image by it.
_ONE = np.array(1.0)
_MINUS_TWO = np.array(-2.0)
_TO_UNIT_INTERVAL = np.array(2.0**-53)
_TO_ANGLE = np.array(2.0 * np.pi * 2.0**-53)
_SHIFT = np.array(11, dtype=np.uint64)


def latents(seed: int, offset: int, n: int, latent_size: int) -> NDArray[np.float32]:
    """Returns the latent vectors of images `offset` to `offset + n - 1` of a seed.

    The cost does not depend on `offset`: Philox is a counter-based generator.

    Args:
        seed: 0 to 2**64 - 1.
        offset: index of the first image; `offset + n` is at most 2**64.
        n: number of images, 0 or more.
        latent_size: length d of a latent vector, 1 or more.

    Returns:
        Standard normals, float32 [n, d], C-contiguous. Row i depends on (seed, offset + i, d) only.

    Raises:
        ValueError: if an argument is outside its range.
    """
    _check_range(seed, offset, n, latent_size)

    blocks = -(-latent_size // _WORDS_PER_BLOCK)  # B = ceil(d / 4) blocks for each image
    words = _philox_words(seed, offset * blocks, n * blocks)  # [n * 4B]
    normals = _box_muller(words).reshape(n, blocks * _WORDS_PER_BLOCK)
    return np.ascontiguousarray(normals[:, :latent_size])


def labels(offset: int, n: int, classes: int) -> NDArray[np.int64]:
    """Returns the classes of images `offset` to `offset + n - 1` of a request without a label.

    Returns:
        int64 [n]; image i has class i mod `classes`.
    """
    return (offset % classes + np.arange(n, dtype=np.int64)) % classes


def interpolate(
    start: NDArray[np.float32], end: NDArray[np.float32], positions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolates along the great circle between two latent vectors (slerp).

    Source: Shoemake 1985; White 2016.

    Args:
        start: float32 [d], the result at position 0.
        end: float32 [d], the result at position 1.
        positions: float64 [n], each in [0, 1].

    Returns:
        float32 [n, d]. Both ends are exact. Almost parallel vectors are interpolated linearly.
    """
    a = start.astype(np.float64)
    b = end.astype(np.float64)
    t = positions[:, None]

    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if np.sin(angle) < 1e-6:
        walk = (1.0 - t) * a + t * b
    else:
        walk = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)

    walk = np.where(t == 0.0, a, np.where(t == 1.0, b, walk))
    return walk.astype(np.float32)


class _Stream(threading.local):
    """A Philox for each thread, with the arrays of its state.

    Creating a Philox costs five times as much as setting its state, and creating the arrays as much
    as setting it.
    """

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.counter = np.zeros(4, dtype=np.uint64)
        self.key = np.zeros(2, dtype=np.uint64)
        self.state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self.counter, "key": self.key},
            "buffer": np.zeros(_WORDS_PER_BLOCK, dtype=np.uint64),
            "buffer_pos": _WORDS_PER_BLOCK,  # the buffer is empty
            "has_uint32": 0,
            "uinteger": 0,
        }


_stream = _Stream()


def _philox_words(seed: int, block: int, blocks: int) -> NDArray[np.uint64]:
    """Returns blocks `block` to `block + blocks - 1` of Philox4x64-10 with key (seed, 0).

    Returns:
        uint64 [4 * blocks].
    """
    stream = _stream
    stream.counter[0] = block % 2**64
    stream.counter[1] = block >> 64
    stream.key[0] = seed
    stream.philox.state = stream.state  # copies the arrays

    return stream.philox.random_raw(_WORDS_PER_BLOCK * blocks)


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Transforms 64-bit words, uint64 [2m], pair by pair into standard normals, float32 [2m].

    Logarithms, cosines and sines are taken of contiguous arrays, into new ones: of strided arrays,
    or in place, NumPy may take another code path, with another last bit.
    """
    integers = (words >> _SHIFT).astype(np.float64)  # exact: below 2^53

    # A power of two may be multiplied in at any time without another rounding.
    radius = np.sqrt(_MINUS_TWO * np.log(_ONE - integers[0::2] * _TO_UNIT_INTERVAL))
    angle = integers[1::2] * _TO_ANGLE

    normals = np.empty(len(words), dtype=np.float32)
    normals[0::2] = radius * np.cos(angle)
    normals[1::2] = radius * np.sin(angle)
    return normals


def _check_range(seed: int, offset: int, n: int, latent_size: int) -> None:
    if not 0 <= seed < INDEX_LIMIT:
        raise ValueError(f"seed must be 0 to 2^64 - 1, not {seed}")
    if n < 0 or not 0 <= offset <= INDEX_LIMIT - n:
        raise ValueError(
            f"offset and n must not be negative and offset + n at most 2^64, not {offset} + {n}"
        )
    if latent_size < 1:
        raise ValueError(f"latent size must be 1 or more, not {latent_size}")
