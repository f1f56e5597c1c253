"""torch.compile of a step, and the step without a compiler."""

import logging
import os
import shutil
from dataclasses import replace

import pytest
import torch

from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.engine import trainer
from dcgan.training.engine.compiled import compile_step
from dcgan.training.engine.state import TrainingState, create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.engine.trainer import Trainer
from dcgan.training.switches import StepSwitches

pytestmark = pytest.mark.numerical

CPU = torch.device("cpu")
SWITCHES = StepSwitches(compile=True, weight_copies=True, one_pass=True, padded_channels=True)


@pytest.fixture
def recipe(small) -> Recipe:
    return replace(
        small,
        loss="hinge",
        discriminator=replace(small.discriminator, norm="spectral"),
        augment=("colour", "translation", "cutout"),
        augment_probability=0.5,
    )


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def train(
    recipe: Recipe, dataset: Dataset, switches: StepSwitches
) -> tuple[torch.Tensor, TrainingState]:
    """Trains three batches, the last of which is smaller."""
    state = create_training_state(recipe, 0, CPU)
    step = TrainingStep(recipe, state, "fp32", switches=switches)
    loader = BatchLoader(dataset, recipe, 0, CPU)
    batches = [loader.batch(number) for number in range(3)]
    if switches.compile:
        assert compile_step(step, state, batches[0])
    return torch.stack([step(batch) for batch in batches]), state


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="torch's compiler for CPUs writes vector instructions that it was told not to use",
)
@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None,
    reason="torch's compiler for CPUs needs a C++ compiler, and there is none",
)
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize(("norm", "depth"), [("batch", 1), ("spectral", 1), ("spectral", 2)])
def test_a_compiled_step_equals_the_plain_step(recipe, dataset, norm, depth):
    """Losses and scores of the first step agree up to rounding, 2^-24 of values near 1.

    After it, Adam moves a weight whose gradient is only rounding by up to the learning rate in
    either direction (see test_step.py), so a few weights may differ by two rates a step. Their
    number is bounded: with another function it would be near all of them.
    """
    discriminator = replace(recipe.discriminator, norm=norm, depth=depth)
    recipe = replace(recipe, discriminator=discriminator)
    switches = replace(SWITCHES, one_pass=norm != "batch")
    plain, expected = train(recipe, dataset, StepSwitches())
    found, state = train(recipe, dataset, switches)
    assert torch.allclose(found[0], plain[0], rtol=0, atol=1e-5)
    assert torch.allclose(found, plain, rtol=0, atol=5e-3)

    rate = recipe.generator_adam.rate
    pairs = zip(state.weights(), expected.weights(), strict=True)
    differences = torch.cat([(a - b).detach().abs().flatten() for (_, a), (_, b) in pairs])
    assert differences.max() <= 3 * 2.5 * rate
    assert (differences > 0.05 * rate).float().mean() < 0.02


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("fresh_compiler")
def test_without_a_c_compiler_a_run_warns_once_and_trains(
    recipe, configure, dataset, caplog, monkeypatch
):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    check_fallback(recipe, configure, dataset, caplog)


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("\n  no compiler was found\n  in any of 12 places")


def test_a_run_that_cannot_be_compiled_warns_once_and_trains(
    recipe, configure, dataset, caplog, monkeypatch
):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    message = check_fallback(recipe, configure, dataset, caplog)
    assert message == (
        "torch.compile failed, so steps are computed without it "
        "(RuntimeError: no compiler was found)"
    )


def test_the_warning_names_the_error_of_the_compiler(
    recipe, configure, dataset, caplog, monkeypatch
):
    class WrappedError(RuntimeError):
        inner_exception = OSError("\n  gcc is missing\n")

    def fail_wrapped(*_: object, **__: object) -> None:
        raise WrappedError("backend='inductor' raised:")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail_wrapped)
    assert check_fallback(recipe, configure, dataset, caplog).endswith("(OSError: gcc is missing)")


def test_where_torch_compile_refuses_a_run_warns_once_and_trains(
    recipe, configure, dataset, caplog, monkeypatch
):
    """It refuses versions of Python that it does not know."""
    monkeypatch.setattr(torch, "compile", fail)
    check_fallback(recipe, configure, dataset, caplog)


def test_a_run_that_resumes_at_a_smaller_batch_is_compiled_before_it(
    recipe, configure, dataset, monkeypatch
):
    """As in the run that did not stop, in which that batch has compiled spectral norms."""
    compiled = []
    monkeypatch.setattr(trainer, "compile_step", lambda *arguments: compiled.append(arguments))
    config = replace(configure(), switches=SWITCHES)
    resumed = Trainer(config, dataset)
    resumed.step = 2  # of three in an epoch of 20 images
    for _ in range(2):
        resumed.train_step()
    ((_, state, batch),) = compiled
    assert state is resumed.state
    assert len(batch.real) == config.recipe.batch_size


def check_fallback(recipe, configure, dataset, caplog) -> str:
    """The run is that with the other switches, to the bit; returns the warning."""
    changes = {"loss": recipe.loss, "discriminator": recipe.discriminator}
    config = replace(configure(**changes), switches=SWITCHES)
    other = replace(config, switches=replace(SWITCHES, compile=False))
    run = Trainer(config, dataset)
    twin = Trainer(other, dataset)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert torch.equal(run.train_step(), twin.train_step())
    assert run.encode_checkpoint() == twin.encode_checkpoint()
    (message,) = [r.getMessage() for r in caplog.records if r.name.startswith("dcgan")]
    assert message.startswith("torch.compile failed, so steps are computed without it (")
    return message
