"""The captured step on a GPU against the plain step."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import resolve_switches
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state, set_learning_rates
from dcgan.training.engine.step import TrainingStep
from dcgan.training.switches import StepSwitches

pytestmark = pytest.mark.gpu

LOSSES = {"batch": "bce", "spectral": "hinge", "none": "relativistic"}


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


def run(
    recipe,
    dataset: Dataset,
    precision: str,
    *,
    recorded: bool,
    first: int = 0,
    compiled: bool | None = False,
) -> tuple[torch.Tensor, ...]:
    """Trains six steps; with `compiled` None without any switch, otherwise with all that apply."""
    cuda = torch.device("cuda")
    state = create_training_state(recipe, 0, cuda)
    switches = replace(resolve_switches(recipe, "cuda", precision, steps=1), compile=bool(compiled))
    plain = TrainingStep(
        recipe, state, precision, switches=StepSwitches() if compiled is None else switches
    )
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
@pytest.mark.parametrize("compiled", [None, False, True], ids=["plain", "switches", "compiled"])
@pytest.mark.parametrize("norm", LOSSES)
def test_the_captured_step_equals_the_same_step_without_a_graph(
    small, dataset, norm, compiled, precision
):
    """20 images in batches of 8: the last batch of an epoch is smaller, and not captured."""
    changes = (
        {"r1": 1.0, "r2": 1.0, "penalty_every": 2}
        if norm == "none"
        else {"augment": ("colour", "translation", "cutout"), "augment_probability": 0.5}
    )
    discriminator = replace(small.discriminator, norm=norm)
    recipe = replace(small, loss=LOSSES[norm], discriminator=discriminator, **changes)
    ours, theirs = (
        run(recipe, dataset, precision, recorded=recorded, compiled=compiled)
        for recorded in (True, False)
    )

    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True], ids=["switches", "compiled"])
@pytest.mark.parametrize("depth", [1, 2])
def test_switches_stay_near_the_plain_step(small, dataset, depth, compiled):
    """The losses and scores of the first step, before Adam amplifies rounding."""
    discriminator = replace(small.discriminator, norm="spectral", depth=depth)
    recipe = replace(small, loss="hinge", discriminator=discriminator)
    for precision, tolerance in (("fp32", 1e-4), ("bf16", 0.02)):
        plain = run(recipe, dataset, precision, recorded=False, compiled=None)[0][0]
        found = run(recipe, dataset, precision, recorded=True, compiled=compiled)[0][0]
        assert torch.allclose(found, plain, rtol=0, atol=tolerance)


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
