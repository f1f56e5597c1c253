import numpy as np
import pytest

from dcgan.evaluation.neighbours import K, compare_neighbours, diversity


def normals(n, d, *, mean=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) + mean).astype(np.float32)


def plain_measures(real, fake):
    """The definitions, from full distance matrices."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    between = np.linalg.norm(real[:, None] - fake[None], axis=2)
    real_radii = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)[:, K]
    fake_radii = np.sort(np.linalg.norm(fake[:, None] - fake[None], axis=2), axis=1)[:, K]
    inside = between <= real_radii[:, None]
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": (between <= fake_radii[None]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / K,
        "coverage": (between.min(axis=1) <= real_radii).mean(),
    }


def test_the_measures_are_their_definitions(monkeypatch):
    monkeypatch.setattr("dcgan.evaluation.neighbours._ROWS", 64)
    real, fake = normals(150, 6), normals(130, 6, mean=0.3, seed=1)
    found = compare_neighbours(real, fake)

    for name, value in plain_measures(real, fake).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-3), name


def test_nearest_images_are_found_across_blocks(monkeypatch):
    monkeypatch.setattr("dcgan.evaluation.neighbours._ROWS", 10)
    real = normals(40, 6)
    fake = real[[31, 7, 15]].repeat(4, axis=0) + np.float32(1e-3)
    found = compare_neighbours(real, fake)

    assert found.nearest.tolist() == [31] * 4 + [7] * 4 + [15] * 4
    assert found.distances.max() < 0.05


def test_a_far_set_has_no_precision_and_one_that_lacks_half_has_little_recall():
    real = np.concatenate([normals(200, 6), normals(200, 6, mean=20, seed=1)])
    far = compare_neighbours(real, normals(200, 6, mean=-50, seed=2))
    half = compare_neighbours(real, normals(400, 6, seed=3))

    assert (far.precision, far.coverage) == (0, 0)
    assert half.precision > 0.9
    assert 0.4 < half.recall < 0.6
    assert half.coverage < 0.6


def test_diversity_is_the_mean_distance_of_pairs():
    features = np.array([[0, 0], [3, 4], [1, 1], [1, 1], [9, 9]], np.float32)
    assert diversity(features) == pytest.approx(2.5)
