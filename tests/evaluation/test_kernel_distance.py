import numpy as np
import pytest

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.kernel_distance import kernel_distance


def normals(n, d, *, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) + mean).astype(np.float32)


def plain_distance(x, y):
    """The definition, with loops over single pairs of images."""

    def kernel(a, b):
        return (float(np.dot(a.astype(np.float64), b)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


def plain_error(x, y, blocks=10):
    """The jackknife over blocks, by leaving images out."""
    values = []
    for i in range(blocks):
        xs = np.concatenate([b for j, b in enumerate(np.array_split(x, blocks)) if j != i])
        ys = np.concatenate([b for j, b in enumerate(np.array_split(y, blocks)) if j != i])
        values.append(plain_distance(xs, ys))
    mean = np.mean(values)
    return np.sqrt((blocks - 1) / blocks * sum((value - mean) ** 2 for value in values))


def test_it_is_the_definition_to_three_digits_for_sets_of_unlike_sizes():
    x, y = normals(43, 7), normals(35, 7, mean=0.4, seed=1)
    found = kernel_distance(x, y)

    assert found.value == pytest.approx(plain_distance(x, y), rel=1e-4)
    assert found.error == pytest.approx(plain_error(x, y), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_two_draws_of_one_distribution_are_at_zero_within_the_error(seed):
    found = kernel_distance(normals(1000, 16, seed=seed), normals(1000, 16, seed=100 + seed))

    assert abs(found.value) < 5 * found.error
    assert found.error > 0


def test_it_grows_with_the_distance_of_two_gaussians():
    x = normals(1000, 16)
    values = [
        kernel_distance(x, normals(1000, 16, mean=mean, seed=1)).value for mean in (0.1, 0.2, 0.4)
    ]
    assert 0 < values[0] < values[1] < values[2]


def test_it_has_the_closed_form_of_two_points():
    """All images of a set equal: the distance is k(a, a) + k(b, b) - 2 k(a, b)."""
    a, b = np.ones((20, 4), np.float32), np.full((20, 4), 2, np.float32)
    found = kernel_distance(a, b)

    assert found.value == pytest.approx(2**3 + 5**3 - 2 * 3**3)
    assert found.error == pytest.approx(0)


def test_too_few_images_are_an_error():
    with pytest.raises(EvaluationError, match="needs 20 images or more"):
        kernel_distance(normals(19, 4), normals(100, 4))
