"""The recorded step on a GPU against the step as it is."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.dataset import Dataset
from dcgan.training.feed import Feed
from dcgan.training.graphs import RecordedStep
from dcgan.training.step import Step, make_players, set_rates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


def run(recipe, dataset: Dataset, precision: str, *, recorded: bool, steps: int = 6) -> tuple[torch.Tensor, ...]:
    cuda = torch.device("cuda")
    players = make_players(recipe, 0, cuda)
    plain = Step(recipe, players, precision)
    step, feed = (RecordedStep(plain, players) if recorded else plain), Feed(dataset, recipe, 0, cuda)
    rows = []
    for number in range(steps):
        set_rates(players, recipe, 1.0 - number / 10)  # a rate that changes must reach the recording
        rows.append(step(feed.batch(number)))
    return torch.stack(rows).cpu(), *(tensor.detach().cpu().clone() for tensor in players.state().values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("norm", "loss"), [("batch", "bce"), ("spectral", "hinge"), ("none", "relativistic")])
def test_the_recorded_step_equals_the_step(small, dataset, norm, loss, precision):
    """20 images in batches of 8: the last batch of an epoch is smaller, and not recorded."""
    changes = {"r1": 1.0, "r2": 1.0} if loss == "relativistic" else {"augment": ("colour", "translation", "cutout")}
    recipe = replace(small, loss=loss, discriminator=replace(small.discriminator, norm=norm), **changes)
    ours, theirs = (run(recipe, dataset, precision, recorded=recorded) for recorded in (True, False))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4)


def test_recording_changes_no_weight(small, dataset):
    cuda = torch.device("cuda")
    recipe = replace(small, generator_adam=replace(small.generator_adam, rate=1e-30))
    recipe = replace(recipe, discriminator_adam=recipe.generator_adam)
    players = make_players(recipe, 0, cuda)
    before = [p.detach().clone() for p in players.generator.parameters()]
    RecordedStep(Step(recipe, players, "fp32"), players)(Feed(dataset, recipe, 0, cuda).batch(0))
    assert all(torch.equal(a, b) for a, b in zip(before, players.generator.parameters(), strict=True))
    assert int(players.generator_adam.state[next(players.generator.parameters())]["step"]) == 1


def test_two_recorded_runs_are_equal_to_the_bit(small, dataset):
    torch.use_deterministic_algorithms(True)
    try:
        a, b = (run(small, dataset, "fp32", recorded=True) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
