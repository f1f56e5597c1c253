"""The noise is a contract: its values, its addressing, and what it refuses."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcgan.core.noise import INDEX_LIMIT, interpolate, latents

seeds = st.integers(0, INDEX_LIMIT - 1)


# Known answers of Random123 1.14 (kat_vectors, philox4x64 with 10 rounds): counter, key, words.
KNOWN_ANSWERS = [
    (
        [0, 0, 0, 0],
        [0, 0],
        ["16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b"],
    ),
    (
        [0xFFFFFFFFFFFFFFFF] * 4,
        [0xFFFFFFFFFFFFFFFF] * 2,
        ["87b092c3013fe90b", "438c3c67be8d0224", "9cc7d7c69cd777b6", "a09caebf594f0ba0"],
    ),
]

PHILOX_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
PHILOX_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
MASK = 2**64 - 1


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 in plain integers, from the paper: the referee for NumPy's and for ours."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product0, product1 = PHILOX_MULTIPLIERS[0] * c[0], PHILOX_MULTIPLIERS[1] * c[2]
        c = [
            (product1 >> 64) ^ c[1] ^ k[0],
            product1 & MASK,
            (product0 >> 64) ^ c[3] ^ k[1],
            product0 & MASK,
        ]
        k = [(k[i] + PHILOX_WEYL[i]) & MASK for i in range(2)]

    return c


def latents_by_the_book(seed: int, index: int, latent_size: int) -> list[float]:
    """The recipe of generator.proto, step by step, without NumPy."""
    blocks = math.ceil(latent_size / 4)
    words: list[int] = []

    for j in range(blocks):
        number = index * blocks + j + 1
        words += philox([(number >> (64 * i)) & MASK for i in range(4)], [seed, 0])
    uniforms = [(word >> 11) * 2.0**-53 for word in words]
    normals: list[float] = []
    for u1, u2 in zip(uniforms[::2], uniforms[1::2], strict=True):
        radius, angle = math.sqrt(-2.0 * math.log(1.0 - u1)), 2.0 * math.pi * u2
        normals += [radius * math.cos(angle), radius * math.sin(angle)]
    return normals[:latent_size]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_the_referee_gives_the_known_answers_of_random123(counter, key, words):
    assert [f"{word:016x}" for word in philox(counter, key)] == words


@given(seed=seeds, index=st.integers(0, INDEX_LIMIT - 1), latent_size=st.integers(1, 130))
def test_latents_follow_the_recipe_of_the_proto(seed, index, latent_size):
    expected = np.array(latents_by_the_book(seed, index, latent_size), dtype=np.float32)
    actual = latents(seed, index, 1, latent_size)[0]
    # Maths libraries may differ in the last bit of a double, which a float32 rarely shows.
    np.testing.assert_array_max_ulp(actual, expected, maxulp=1)


def test_golden_latents_never_change():
    golden = {
        (0, 0): ["3c048673", "3e1bd841", "bee4c43f", "be43ff5c"],
        (7, 3): ["bfd04a99", "3f7c8bf3", "bea718a6", "bf3f0b25"],
        (2**64 - 1, 2**64 - 1): ["3fd799b7", "be694d98", "bf2c6c41", "3f97b204"],
    }
    for (seed, index), expected in golden.items():
        actual = latents(seed, index, 1, 100)[0, :4]
        assert [struct.pack(">f", value).hex() for value in actual] == expected


@given(seed=seeds, offset=st.integers(0, INDEX_LIMIT - 200), n=st.integers(1, 200), data=st.data())
def test_any_part_of_a_range_equals_the_part_drawn_alone(seed, offset, n, data):
    whole = latents(seed, offset, n, 100)
    start = data.draw(st.integers(0, n - 1))
    count = data.draw(st.integers(1, n - start))
    assert np.array_equal(latents(seed, offset + start, count, 100), whole[start : start + count])


def test_latents_are_standard_normal():
    z = latents(0, 0, 20_000, 100).astype(np.float64)
    assert abs(z.mean()) < 0.005
    assert abs(z.std() - 1) < 0.005
    assert abs((z**4).mean() - 3) < 0.05
    assert abs(np.corrcoef(z[:, :4], rowvar=False) - np.eye(4)).max() < 0.03
    assert 4.5 < abs(z).max() < 7


def test_latents_are_contiguous_float32():
    z = latents(1, 2, 3, 5)
    assert z.dtype == np.float32
    assert z.shape == (3, 5)
    assert z.flags.c_contiguous
    assert latents(1, 2, 0, 5).shape == (0, 5)


def test_the_last_index_can_be_drawn_and_the_next_cannot():
    assert latents(1, INDEX_LIMIT - 1, 1, 100).shape == (1, 100)
    with pytest.raises(ValueError, match="at most 2\\^64"):
        latents(1, INDEX_LIMIT - 1, 2, 100)


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 1, 4), (INDEX_LIMIT, 0, 1, 4), (0, -1, 1, 4), (0, 0, -1, 4), (0, 0, 1, 0)]
)
def test_arguments_outside_their_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        latents(*arguments)


def test_interpolation_is_exact_at_its_ends_and_keeps_the_length_between():
    a, b = latents(1, 0, 2, 100)
    walk = interpolate(a, b, np.linspace(0, 1, 9))
    assert np.array_equal(walk[0], a)
    assert np.array_equal(walk[-1], b)
    lengths = np.linalg.norm(walk, axis=1)
    assert min(lengths) > 0.95 * min(lengths[0], lengths[-1])


def test_interpolation_between_equal_vectors_stays():
    a = latents(1, 0, 1, 100)[0]
    np.testing.assert_allclose(
        interpolate(a, a, np.linspace(0, 1, 5)), np.tile(a, (5, 1)), rtol=1e-6
    )
