"""Every switch of the engine leaves what a step computes as it is.

Adam's first steps amplify rounding (see test_step.py), so the switches are compared with the plain
step in float64: an error of 1e-14 in a gradient becomes at most 4e-10 in a weight of `small`.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dcgan.training.config import Recipe, StepSwitches
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader, TrainingBatch
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.models import gemm_convolution

pytestmark = pytest.mark.numerical

CPU = torch.device("cpu")
AUGMENTED = {"augment": ("colour", "translation", "cutout"), "augment_probability": 0.5}

RECIPES: dict[str, Callable[[Recipe], Recipe]] = {
    "batch norm": lambda small: small,
    "spectral norm": lambda small: with_norm(small, "spectral", loss="hinge"),
    "augmented": lambda small: with_norm(small, "spectral", loss="hinge", **AUGMENTED),
    "penalties": lambda small: with_norm(small, "none", loss="relativistic", r1=1.0, r2=2.0),
    "spectral norm and penalties": lambda small: with_norm(small, "spectral", r1=1.0),
    "classes": lambda small: conditional(with_norm(small, "spectral", loss="hinge")),
    "classes and penalties": lambda small: conditional(with_norm(small, "none", r1=1.0, r2=1.0)),
}

SWITCHES = {
    "weight copies": StepSwitches(weight_copies=True),
    "one pass": StepSwitches(one_pass=True),
    "padded channels": StepSwitches(padded_channels=True),
    "linear penalties": StepSwitches(linear_penalties=True),
    "all of them": StepSwitches(
        weight_copies=True, one_pass=True, padded_channels=True, linear_penalties=True
    ),
}


def with_norm(small: Recipe, norm: str, **changes: object) -> Recipe:
    return replace(small, discriminator=replace(small.discriminator, norm=norm), **changes)


def conditional(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        generator=replace(recipe.generator, classes=2),
        discriminator=replace(recipe.discriminator, classes=2),
    )


def in_double(batch: TrainingBatch) -> TrainingBatch:
    return replace(
        batch, real=batch.real.double(), z=batch.z.double(), augment=batch.augment.double()
    )


def train(
    recipe: Recipe, dataset: Dataset, switches: StepSwitches, precision: str = "fp32"
) -> dict[str, torch.Tensor]:
    """Trains three batches, the last of them smaller; returns the metrics and the state."""
    state = create_training_state(recipe, 0, CPU)
    step = TrainingStep(recipe, state, precision, switches=switches)
    loader = BatchLoader(dataset, recipe, 0, CPU)
    batches = [loader.batch(number) for number in range(3)]

    if torch.get_default_dtype() == torch.float64:
        batches = [in_double(batch) for batch in batches]
    tensors = {f"metrics {number}": step(batch) for number, batch in enumerate(batches)}
    return tensors | {name: tensor.detach() for name, tensor in state.tensors().items()}


def usable(switches: StepSwitches, recipe: Recipe) -> StepSwitches:
    """Leaves out those that the recipe cannot use."""
    norm = recipe.discriminator.norm
    return replace(
        switches,
        one_pass=switches.one_pass and norm != "batch",
        linear_penalties=switches.linear_penalties and norm == "none",
    )


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_computes_the_same_with_a_switch(small, dataset, name, switches):
    recipe = RECIPES[name](small)
    switches = usable(switches, recipe)
    if switches == StepSwitches():
        pytest.skip("the switch does not apply to this recipe")
    plain = train(recipe, dataset, StepSwitches())
    found = train(recipe, dataset, switches)
    assert found.keys() == plain.keys()
    for key, tensor in plain.items():
        assert found[key].shape == tensor.shape
        assert torch.allclose(found[key].double(), tensor.double(), rtol=1e-7, atol=1e-8), key


def test_copies_in_bf16_give_the_bits_of_autocast(small, dataset, monkeypatch):
    """Autocast rounds the same weights, and sums the gradients of both calls of D in bf16.

    The matrix products of a CPU round weights themselves and sum those gradients in float32.
    """
    monkeypatch.setattr(gemm_convolution, "ENABLED", False)
    plain = train(small, dataset, StepSwitches(), "bf16")
    found = train(small, dataset, StepSwitches(weight_copies=True), "bf16")
    for key, tensor in plain.items():
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize("name", RECIPES)
def test_all_switches_in_bf16_stay_near_the_plain_step(small, dataset, name):
    """Copies and metrics differ by a few roundings of 2^-9; Adam makes whole steps of some."""
    recipe = RECIPES[name](small)
    plain = train(recipe, dataset, StepSwitches(), "bf16")
    found = train(recipe, dataset, usable(SWITCHES["all of them"], recipe), "bf16")
    first = found["metrics 0"] - plain["metrics 0"]
    assert first.abs().max() < 0.02
    rate = recipe.generator_adam.rate
    for key, tensor in plain.items():
        if key.startswith("generator.") and key.endswith("weight"):
            assert (found[key] - tensor).abs().max() <= 3 * 2.5 * rate, key
