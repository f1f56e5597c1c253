"""The captured step on a GPU against the plain step."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state, set_learning_rates
from dcgan.training.engine.step import TrainingStep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


def run(
    recipe, dataset: Dataset, precision: str, *, recorded: bool, first: int = 0
) -> tuple[torch.Tensor, ...]:
    cuda = torch.device("cuda")
    state = create_training_state(recipe, 0, cuda)
    plain = TrainingStep(recipe, state, precision)
    step = CudaGraphStep(plain, state, recipe.batch_size) if recorded else plain
    loader, rows = BatchLoader(dataset, recipe, 0, cuda), []
    for number in range(first, first + 6):
        set_learning_rates(
            state, recipe, 1.0 - number / 10
        )  # a rate that changes must reach the graph
        rows.append(step(loader.batch(number)))
    return torch.stack(rows).cpu(), *(
        tensor.detach().cpu().clone() for tensor in state.tensors().values()
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("norm", "loss"), [("batch", "bce"), ("spectral", "hinge"), ("none", "relativistic")]
)
def test_the_captured_step_equals_the_plain_step(small, dataset, norm, loss, precision):
    """20 images in batches of 8: the last batch of an epoch is smaller, and not captured."""
    changes = (
        {"r1": 1.0, "r2": 1.0}
        if loss == "relativistic"
        else {"augment": ("colour", "translation", "cutout"), "augment_probability": 0.5}
    )
    recipe = replace(
        small, loss=loss, discriminator=replace(small.discriminator, norm=norm), **changes
    )
    ours, theirs = (
        run(recipe, dataset, precision, recorded=recorded) for recorded in (True, False)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4)


def test_a_run_that_is_resumed_at_a_small_batch_captures_the_next_full_one(small, dataset):
    ours, theirs = (
        run(small, dataset, "fp32", recorded=recorded, first=2) for recorded in (True, False)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4)
    state = create_training_state(small, 0, torch.device("cuda"))
    step, loader = (
        TrainingStep(small, state, "fp32"),
        BatchLoader(dataset, small, 0, torch.device("cuda")),
    )
    recorded, taken = CudaGraphStep(step, state, small.batch_size), []
    step.train_generator = lambda *details, take=step.train_generator: (
        taken.append(0) or take(*details)
    )
    for number in range(2, 5):  # a small batch, and two full ones
        recorded(loader.batch(number))
    assert len(taken) == 1 + 3 + 1  # as it is, to warm up, and to record


def test_capturing_changes_nothing(small, dataset):
    """To the bit: Adam moves a bias that is exactly 0 at any learning rate, so none is taken."""
    cuda = torch.device("cuda")
    recipe = replace(small, discriminator=replace(small.discriminator, norm="spectral"))
    state = create_training_state(recipe, 0, cuda)
    before = {name: tensor.detach().clone() for name, tensor in state.tensors().items()}
    step = CudaGraphStep(TrainingStep(recipe, state, "fp32"), state, recipe.batch_size)
    batch = BatchLoader(dataset, recipe, 0, cuda).batch(0)
    step.capture(batch)
    for name, tensor in state.tensors().items():
        assert torch.equal(tensor, before[name]), name

    step(batch)
    assert int(state.generator_adam.state[next(state.generator.parameters())]["step"]) == 1


def test_two_captured_runs_are_equal_to_the_bit(small, dataset):
    torch.use_deterministic_algorithms(True)
    try:
        a, b = (run(small, dataset, "fp32", recorded=True) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
