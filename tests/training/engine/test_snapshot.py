"""Trial steps leave no trace in the training state."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.data.loader import BatchLoader
from dcgan.training.engine.snapshot import undone
from dcgan.training.engine.state import TrainingState, create_training_state
from dcgan.training.engine.step import TrainingStep

CPU = torch.device("cpu")


def bits(state: TrainingState) -> dict[str, bytes]:
    """Every tensor as bytes, so that 0.0 and -0.0 differ, and NaN equals itself."""
    tensors = state.tensors().items()
    return {name: tensor.detach().contiguous().numpy().tobytes() for name, tensor in tensors}


@pytest.fixture(params=["batch", "spectral"])
def recipe(request, small):
    return replace(small, discriminator=replace(small.discriminator, norm=request.param))


def test_steps_are_undone_to_the_bit(recipe, dataset):
    """Biases that are exactly 0 included, which Adam moves at any learning rate."""
    state = create_training_state(recipe, 0, CPU)
    step, batch = TrainingStep(recipe, state, "fp32"), BatchLoader(dataset, recipe, 0, CPU).batch(0)
    step(batch)
    before = bits(state)
    with undone(state):
        for _ in range(3):
            step(batch)
        assert bits(state) != before
    assert bits(state) == before


def test_the_memory_stays_the_same_and_gradients_are_gone(recipe, dataset):
    """Optimizers and captured graphs hold on to the addresses."""
    state = create_training_state(recipe, 0, CPU)
    addresses = [tensor.data_ptr() for tensor in state.tensors().values()]
    with undone(state):
        TrainingStep(recipe, state, "fp32")(BatchLoader(dataset, recipe, 0, CPU).batch(0))
    assert [tensor.data_ptr() for tensor in state.tensors().values()] == addresses
    assert all(weight.grad is None for _, weight in state.weights())


def test_a_step_that_fails_halfway_is_undone_as_well(recipe, dataset):
    state = create_training_state(recipe, 0, CPU)
    step, batch = TrainingStep(recipe, state, "fp32"), BatchLoader(dataset, recipe, 0, CPU).batch(0)
    before = bits(state)

    def fail() -> None:
        raise RuntimeError("no memory left")

    state.generator_adam.step = fail
    with pytest.raises(RuntimeError, match="no memory left"), undone(state):
        step(batch)
    assert bits(state) == before
    assert all(weight.requires_grad for _, weight in state.weights())
