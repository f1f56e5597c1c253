"""Random numbers that depend on seed, purpose, step and rollbacks alone."""

import numpy as np
import torch

from dcgan.training.rng import Purpose, normals, permutation, uniforms


def test_numbers_do_not_depend_on_what_was_drawn_before():
    first = normals(7, Purpose.LATENTS, 3, (4, 5))
    uniforms(7, Purpose.FLIP, 3, (9,))
    normals(7, Purpose.LATENTS, 4, (4, 5))
    assert torch.equal(normals(7, Purpose.LATENTS, 3, (4, 5)), first)


def test_seed_purpose_and_step_each_change_the_numbers():
    answers = [
        normals(seed, purpose, step, (64,))
        for seed in (0, 1)
        for purpose in (Purpose.LATENTS, Purpose.STATISTICS)
        for step in (0, 1)
    ]
    assert len({tuple(answer.tolist()) for answer in answers}) == len(answers)


def test_each_epoch_shows_every_image_once_in_another_order():
    first, second = permutation(0, 0, 100), permutation(0, 1, 100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)


def test_normals_and_uniforms_have_their_distribution():
    z = normals(0, Purpose.LATENTS, 0, (100_000,))
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    u = uniforms(0, Purpose.AUGMENT, 0, (100_000,))
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() < 1
