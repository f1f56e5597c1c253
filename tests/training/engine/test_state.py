"""Initial weights and learning rates."""

import pytest
import torch

from dcgan.training.engine.state import create_training_state, set_learning_rates
from dcgan.training.recipe_files import load_recipe

CPU = torch.device("cpu")


def test_rates_are_set_on_both_optimizers(small):
    state = create_training_state(small, 0, CPU)
    set_learning_rates(state, small, 0.25)
    assert state.generator_adam.param_groups[0]["lr"] == small.generator_adam.rate * 0.25
    assert state.discriminator_adam.param_groups[0]["lr"] == small.discriminator_adam.rate * 0.25


def test_first_weights_follow_the_paper():
    state = create_training_state(load_recipe("dcgan64-seed"), 3, CPU)
    for network in (state.generator, state.discriminator):
        for name, weight in network.named_parameters():
            expected = 1.0 if name.endswith("norm.weight") else 0.0
            assert weight.mean().item() == pytest.approx(expected, abs=0.01)
            assert weight.std().item() == pytest.approx(
                0.0 if name.endswith("bias") else 0.02, abs=0.005
            )
