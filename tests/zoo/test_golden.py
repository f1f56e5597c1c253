"""The self-test tells exact, close and different apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcgan.core.noise import latents
from dcgan.zoo.golden import Agreement, compare, golden_latents, published_digest, read_golden
from dcgan.zoo.release import RepositoryError, read_release

from .conftest import GOLDEN_PIXELS, PROCESSOR, PROVIDER


def test_published_pixels_come_back_as_they_were(toy: Path):
    assert np.array_equal(read_golden(read_release(toy)), GOLDEN_PIXELS)


def test_equal_pixels_are_exact_where_a_digest_is_published_and_close_where_none_is(toy: Path):
    manifest = read_release(toy).manifest
    digest = published_digest(manifest, "generator.onnx", PROVIDER, PROCESSOR)
    assert compare(GOLDEN_PIXELS, GOLDEN_PIXELS, digest) is Agreement.EXACT
    elsewhere = published_digest(manifest, "generator.onnx", PROVIDER, "aarch64")
    assert elsewhere is None
    assert compare(GOLDEN_PIXELS, GOLDEN_PIXELS, elsewhere) is Agreement.CLOSE


@pytest.mark.parametrize(("levels", "agreement"), [(1, Agreement.CLOSE), (2, Agreement.DIFFERENT)])
def test_one_grey_level_is_close_and_two_are_another_function(levels: int, agreement: Agreement):
    other = GOLDEN_PIXELS.copy()
    other[1, 5, 6, 0] = (
        other[1, 5, 6, 0] + levels if other[1, 5, 6, 0] < 200 else other[1, 5, 6, 0] - levels
    )
    assert compare(other, GOLDEN_PIXELS, "0" * 64) is agreement


def test_no_difference_hides_in_the_wrap_of_a_byte():
    assert (
        compare(np.full((1, 2, 2, 1), 255, np.uint8), np.zeros((1, 2, 2, 1), np.uint8), None)
        is Agreement.DIFFERENT
    )


def test_golden_latents_are_those_of_the_noise_scheme(toy: Path):
    manifest = read_release(toy).manifest
    assert np.array_equal(golden_latents(manifest.golden, 16), latents(0, 0, 2, 16))


def test_a_damaged_picture_is_refused(toy: Path):
    path = toy / "golden.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RepositoryError, match=r"golden\.png is damaged"):
        read_golden(read_release(toy))
