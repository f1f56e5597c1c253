import numpy as np
import pytest

from dcgan.evaluation.classes import class_accuracy


def test_images_of_the_class_asked_for_are_counted():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    centres = 8 * np.eye(3, 5)
    real = (centres[labels] + rng.standard_normal((300, 5))).astype(np.float32)
    fake = (centres[labels] + rng.standard_normal((300, 5))).astype(np.float32)

    assert class_accuracy(real, labels, fake, labels) > 0.98
    assert class_accuracy(real, labels, fake, (labels + 1) % 3) < 0.02
    assert class_accuracy(real, labels, fake, np.zeros(300, np.int64)) == pytest.approx(
        1 / 3, abs=0.02
    )
