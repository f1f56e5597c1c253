"""Every switch of the engine leaves what a step computes as it is.

Adam's first steps amplify rounding (see test_step.py), so the switches are compared with the plain
step in float64: an error of 1e-14 in a gradient becomes at most 4e-10 in a weight of `small`.
"""

from collections import Counter
from dataclasses import fields, replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader, TrainingBatch
from dcgan.training.device import resolve_switches
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.models import gemm_convolution
from dcgan.training.switches import EngineConfig, StepSwitches

pytestmark = pytest.mark.numerical

CPU = torch.device("cpu")
AUGMENTED = {"augment": ("colour", "translation", "cutout"), "augment_probability": 0.5}

# Normalization of D, and other changes of the recipe `small`.
RECIPES: dict[str, tuple[str, dict[str, object]]] = {
    "batch norm": ("batch", {}),
    "spectral norm": ("spectral", {"loss": "hinge"}),
    "augmented": ("spectral", {"loss": "hinge", **AUGMENTED}),
    "consistency": ("spectral", {"consistency": 10.0, **AUGMENTED}),
    "penalties": ("none", {"loss": "relativistic", "r1": 1.0, "r2": 2.0}),
    "spectral norm and penalties": ("spectral", {"r1": 1.0}),
    "classes": ("spectral", {"loss": "hinge", "classes": 2}),
    "classes and penalties": ("none", {"r1": 1.0, "r2": 1.0, "classes": 2}),
    "depth 2": ("spectral", {"loss": "hinge", "classes": 2, "depth": 2, **AUGMENTED}),
    "depth 2 and batch norm": ("batch", {"depth": 2}),
    "depth 2 and penalties": ("none", {"loss": "relativistic", "r1": 1.0, "depth": 2}),
}

OFF = EngineConfig(**{each.name: "off" for each in fields(EngineConfig)})
ENGINES = {
    "weight copies": replace(OFF, weight_copies="on"),
    "one pass": replace(OFF, one_pass="on"),
    "padded channels": replace(OFF, padded_channels="on"),
    "linear penalties": replace(OFF, linear_penalties="on"),
    "all of them": EngineConfig(
        compile="off", weight_copies="on", one_pass="on", padded_channels="on"
    ),
}

# `resolve_switches` leaves out what a discriminator cannot use.
CASES = [
    (recipe, engine)
    for recipe, (norm, _) in RECIPES.items()
    for engine in ENGINES
    if not (engine == "one pass" and norm == "batch")
    and not (engine == "linear penalties" and norm != "none")
    and not (engine == "weight copies" and norm != "spectral")
]


def make_recipe(small: Recipe, name: str, engine: EngineConfig) -> Recipe:
    norm, changes = RECIPES[name]
    changes = dict(changes)
    classes = changes.pop("classes", 0)
    depth = changes.pop("depth", 1)
    return replace(
        small,
        generator=replace(small.generator, classes=classes),
        discriminator=replace(small.discriminator, norm=norm, depth=depth, classes=classes),
        engine=engine,
        **changes,
    )


def in_double(batch: TrainingBatch) -> TrainingBatch:
    return replace(
        batch, real=batch.real.double(), z=batch.z.double(), augment=batch.augment.double()
    )


def train(recipe: Recipe, dataset: Dataset, precision: str = "fp32") -> dict[str, torch.Tensor]:
    """Trains three batches, the last of them smaller; returns the metrics and the state."""
    state = create_training_state(recipe, 0, CPU)
    switches = resolve_switches(recipe, "cpu", precision, steps=1)
    assert (switches == StepSwitches()) == (recipe.engine == OFF)
    step = TrainingStep(recipe, state, precision, switches=switches)
    loader = BatchLoader(dataset, recipe, 0, CPU)
    batches = [loader.batch(number) for number in range(3)]

    if torch.get_default_dtype() == torch.float64:
        batches = [in_double(batch) for batch in batches]
    tensors = {f"metrics {number}": step(batch) for number, batch in enumerate(batches)}
    return tensors | {name: tensor.detach() for name, tensor in state.tensors().items()}


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("name", "engine"), CASES)
def test_a_step_computes_the_same_with_a_switch(small, dataset, name, engine):
    plain = train(make_recipe(small, name, OFF), dataset)
    found = train(make_recipe(small, name, ENGINES[engine]), dataset)
    assert found.keys() == plain.keys()
    for key, tensor in plain.items():
        assert found[key].shape == tensor.shape
        assert torch.allclose(found[key].double(), tensor.double(), rtol=1e-7, atol=1e-8), key


def test_copies_in_bf16_give_the_bits_of_autocast(small, dataset, monkeypatch):
    """Autocast rounds the same weights, and sums the gradients of both calls of D in bf16.

    The matrix products of a CPU round weights themselves and sum those gradients in float32.
    """
    monkeypatch.setattr(gemm_convolution, "ENABLED", False)
    plain = train(make_recipe(small, "batch norm", OFF), dataset, "bf16")
    copies = ENGINES["weight copies"]
    found = train(make_recipe(small, "batch norm", copies), dataset, "bf16")
    for key, tensor in plain.items():
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize("name", RECIPES)
def test_all_switches_in_bf16_stay_near_the_plain_step(small, dataset, name):
    """Copies and metrics differ by a few roundings of 2^-9; Adam makes whole steps of some."""
    plain = train(make_recipe(small, name, OFF), dataset, "bf16")
    recipe = make_recipe(small, name, ENGINES["all of them"])
    found = train(recipe, dataset, "bf16")
    first = found["metrics 0"] - plain["metrics 0"]
    assert first.abs().max() < 0.02
    rate = recipe.generator_adam.rate
    for key, tensor in plain.items():
        if key.startswith("generator.") and key.endswith("weight"):
            assert (found[key] - tensor).abs().max() <= 3 * 2.5 * rate, key


class CountOperators(TorchDispatchMode):
    """Counts operators by name, views aside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.is_view:
            self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_weights_are_cast_and_normalized_once_a_phase_for_all_layers(small, dataset, monkeypatch):
    """On a GPU each operator is a kernel or more, and the number of kernels bounds the step."""
    monkeypatch.setattr(gemm_convolution, "ENABLED", False)  # as on a GPU

    def count(engine: EngineConfig) -> Counter[str]:
        recipe = make_recipe(small, "spectral norm", engine)
        state = create_training_state(recipe, 0, CPU)
        switches = resolve_switches(recipe, "cpu", "bf16", steps=1)
        step = TrainingStep(recipe, state, "bf16", switches=switches)
        batch = BatchLoader(dataset, recipe, 0, CPU).batch(0)
        step(batch)
        with CountOperators() as mode:
            step(batch)
        return mode.counts

    plain = count(OFF)
    found = count(ENGINES["weight copies"])
    assert found["_foreach_copy_"] == 5  # copies of G once, of D and its biases twice; gradients
    assert found["_to_copy"] < plain["_to_copy"] / 4  # casts
    assert found["clone"] == found["zero_"] == found["fill_"] == 0
    assert found["linalg_vector_norm"] == 2 * 2  # u and v, in both phases, of all layers
    assert found["_fused_adam_"] == 2
    assert found.total() < 0.75 * plain.total()
    assert count(ENGINES["all of them"])["convolution"] < found["convolution"]
