import numpy as np
import pytest

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.frechet import frechet_distance


def with_moments(mean, covariance, n=200, seed=0):
    """Features whose sample mean and covariance are exactly these."""
    d = len(mean)
    raw = np.random.default_rng(seed).standard_normal((n, d))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return (white @ np.linalg.cholesky(covariance).T + mean).astype(np.float32)


def test_a_set_is_at_zero_from_itself():
    x = with_moments(np.zeros(6), np.eye(6))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-5)


def test_it_has_the_closed_form_of_commuting_gaussians():
    """|m1 - m2|^2 + sum (s1 - s2)^2 for diagonal covariances."""
    first, second = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 16.0])
    x = with_moments(np.zeros(3), np.diag(first))
    y = with_moments(np.array([1.0, 2.0, 0.0]), np.diag(second), seed=1)
    expected = 1 + 4 + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()

    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_it_equals_the_product_form_for_covariances_that_do_not_commute():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 4, 4))
    first, second = a @ a.T + np.eye(4), b @ b.T + np.eye(4)
    x, y = with_moments(np.zeros(4), first), with_moments(np.ones(4), second, seed=1)
    root = np.sqrt(np.linalg.eigvals(first @ second).real).sum()
    expected = 4 + np.trace(first) + np.trace(second) - 2 * root

    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_too_few_images_for_the_covariance_are_an_error():
    x = np.zeros((8, 8), np.float32)
    with pytest.raises(EvaluationError, match="needs 9 images or more"):
        frechet_distance(x, x)
