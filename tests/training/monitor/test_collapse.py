"""Detection of a collapse."""

import pytest
import torch

from dcgan.training.monitor.collapse import CollapseDetector, check_weights


def rows(*losses: float, diversity: float = 0.8) -> list[dict[str, float]]:
    return [
        {"step": step, "loss_D": loss, "diversity": diversity}
        for step, loss in enumerate(losses, 1)
    ]


def test_a_discriminator_that_has_won_is_reported_once():
    detector = CollapseDetector()
    assert detector.update(rows(*[0.0] * 400, 3.0, *[0.0] * 99)) is None
    assert detector.update(rows(*[0.001] * 400)) is None
    collapse = detector.update(rows(*[0.001] * 100))
    assert "the discriminator has won" in collapse.reason
    assert not collapse.fatal
    assert detector.update(rows(*[0.0] * 1000)) is None


def test_a_collapse_after_a_recovery_is_reported_again():
    detector = CollapseDetector()
    assert detector.update(rows(*[0.001] * 500)) is not None
    assert detector.update(rows(*[1.0] * 499)) is None
    assert detector.update(rows(*[0.001] * 500)) is None  # too short a recovery
    assert detector.update(rows(*[1.0] * 500)) is None
    assert "the discriminator has won" in detector.update(rows(*[0.001] * 500)).reason


def test_images_that_have_become_the_same_are_reported():
    detector = CollapseDetector()
    assert detector.update(rows(*[1.0] * 499, diversity=0.05)) is None
    assert detector.update(rows(1.0, diversity=0.5)) is None
    assert detector.update(rows(*[1.0] * 499, diversity=0.05)) is None
    assert "all generated images look alike" in detector.update(rows(1.0, diversity=0.05)).reason


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_fatal_each_time(value):
    detector = CollapseDetector()
    for _ in range(2):
        collapse = detector.update(rows(0.5, value))
        assert collapse.fatal
        assert "NaN or infinite at step 2; the last checkpoint is good" in collapse.reason


@pytest.mark.parametrize(
    ("loss", "diversity", "healthy"), [(1.0, 0.8, True), (0.001, 0.8, False), (1.0, 0.05, False)]
)
def test_a_run_is_healthy_while_its_last_steps_are(loss, diversity, healthy):
    detector = CollapseDetector()
    detector.reset(rows(*[0.001] * 200, diversity=0.01))
    assert not detector.healthy
    detector.update(rows(*[loss] * 50, diversity=diversity))
    assert detector.healthy is healthy


def test_a_new_run_is_healthy():
    assert CollapseDetector().healthy


def test_after_a_reset_a_collapse_is_reported_again():
    detector = CollapseDetector()
    assert detector.update(rows(*[0.0] * 500)) is not None
    detector.reset([])
    assert detector.healthy
    assert detector.update(rows(*[0.0] * 499)) is None
    assert detector.update(rows(0.0)) is not None


def test_weights_that_are_not_finite_are_named():
    weights = {"generator.a": torch.ones(3), "generator.b": torch.tensor([1.0, float("inf")])}
    assert check_weights([("generator.a", weights["generator.a"])]) is None
    collapse = check_weights(weights.items())
    assert collapse.fatal
    assert "the weights generator.b contain NaN or Inf" in collapse.reason
