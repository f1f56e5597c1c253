"""Random numbers that depend on seed, purpose, step and rewinds alone."""

import numpy as np
import torch

from dcgan.training.rng import Purpose, normals, permutation, uniforms


def test_the_same_question_has_the_same_answer_whatever_was_asked_before():
    first = normals(7, Purpose.LATENTS, 3, (4, 5))
    uniforms(7, Purpose.FLIP, 3, (9,))
    normals(7, Purpose.LATENTS, 4, (4, 5))
    assert torch.equal(normals(7, Purpose.LATENTS, 3, (4, 5)), first)


def test_seed_purpose_and_step_each_change_the_answer():
    answers = [
        normals(seed, purpose, step, (64,))
        for seed in (0, 1)
        for purpose in (Purpose.LATENTS, Purpose.STATISTICS)
        for step in (0, 1)
    ]
    assert len({tuple(answer.tolist()) for answer in answers}) == len(answers)


def test_an_epoch_shows_each_image_once_in_an_order_of_its_own():
    first, second = permutation(0, 0, 100), permutation(0, 1, 100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)


def test_numbers_are_distributed_as_they_say():
    z = normals(0, Purpose.LATENTS, 0, (100_000,))
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    u = uniforms(0, Purpose.AUGMENT, 0, (100_000,))
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() < 1
