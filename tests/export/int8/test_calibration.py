"""Quantization parameters that fit the activations."""

import pytest
import torch

from dcgan.export.int8.calibration import best_params, calibrate


def test_values_of_equal_size_get_the_step_that_fits_them():
    values = torch.linspace(0.0, 51.0, 100_000)
    assert best_params(values).scale == pytest.approx(51.0 / 255, rel=0.02)


def test_a_rare_large_value_does_not_coarsen_all_others():
    values = torch.cat([torch.linspace(0.0, 1.0, 1_000_000), torch.tensor([4.0])])
    assert best_params(values).scale < 2.0 / 255


def test_there_is_one_step_for_each_hidden_layer_and_always_the_same(calm):
    plan = calibrate(calm)
    assert len(plan.activations) == len(calm.hidden)
    assert min(steps.scale for steps in plan.activations) > 0
    assert plan == calibrate(calm)


def test_a_dead_layer_has_a_step_too(calm):
    calm.hidden[1].weight.zero_()
    calm.hidden[1].bias.fill_(-1.0)
    assert min(steps.scale for steps in calibrate(calm).activations) > 0
