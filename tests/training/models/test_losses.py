"""GAN losses against their definitions."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from dcgan.training.models.losses import discriminator_loss, generator_loss

pytestmark = pytest.mark.numerical

REAL = torch.tensor([2.0, -0.5, 0.25])
FAKE = torch.tensor([-1.5, 0.5, 3.0])


def test_bce_is_the_cross_entropy_with_labels_1_and_0():
    ones = torch.ones(3)
    zeros = torch.zeros(3)
    expected = binary_cross_entropy_with_logits(REAL, ones)
    expected = expected + binary_cross_entropy_with_logits(FAKE, zeros)
    assert discriminator_loss("bce", REAL, FAKE).item() == pytest.approx(expected.item())
    expected = binary_cross_entropy_with_logits(FAKE, ones)
    assert generator_loss("bce", None, FAKE).item() == pytest.approx(expected.item())


def test_hinge_ignores_what_is_beyond_the_margin():
    # Real: max(0, 1 - x) = 0, 1.5, 0.75. Fake: max(0, 1 + x) = 0, 1.5, 4.
    assert discriminator_loss("hinge", REAL, FAKE).item() == pytest.approx(2.25 / 3 + 5.5 / 3)
    assert generator_loss("hinge", None, FAKE).item() == pytest.approx(-2.0 / 3)


def test_relativistic_compares_pairs():
    expected = torch.log(1 + torch.exp(FAKE - REAL)).mean()
    assert discriminator_loss("relativistic", REAL, FAKE).item() == pytest.approx(expected.item())
    expected = torch.log(1 + torch.exp(REAL - FAKE)).mean()
    assert generator_loss("relativistic", REAL, FAKE).item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="needs the logits of real images"):
        generator_loss("relativistic", None, FAKE)
