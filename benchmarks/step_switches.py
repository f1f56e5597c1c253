"""The training step of a recipe with each switch of its engine, for bench_training.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace
from statistics import median

import torch

from dcgan.training.config import Recipe, StepSwitches
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import resolve_precision
from dcgan.training.engine.compiled import compile_step
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.profiling import Kernels, profile_kernels


def switch_rows(recipe: Recipe, *, with_compile: bool) -> dict[str, StepSwitches]:
    """The rows of a recipe: plain, with each switch that it can use, and with all of them."""
    norm = recipe.discriminator.norm
    unusable = {"compile"}
    if norm == "batch":
        unusable.add("one_pass")
    if norm != "none":
        unusable.add("linear_penalties")
    names = [each.name for each in fields(StepSwitches) if each.name not in unusable]

    rows = {"plain step": StepSwitches()}
    for name in names:
        rows[name] = replace(StepSwitches(), **{name: True})
    every = replace(StepSwitches(), **dict.fromkeys(names, True))
    rows["all of them"] = every
    if with_compile:
        rows["all of them, compiled"] = replace(every, compile=True)
    return rows


def recipe_step(
    data: Dataset, recipe: Recipe, switches: StepSwitches, device: torch.device
) -> Callable[[], None]:
    """A step of `dcgan-train`, with its precision; on a GPU as CUDA graphs."""
    state = create_training_state(recipe, 0, device)
    precision = resolve_precision("auto", device.type, recipe)
    step = TrainingStep(recipe, state, precision, switches=switches)
    loader = BatchLoader(data, recipe, 0, device)
    if switches.compile:
        compile_step(step, state, loader.batch(0))
    run: TrainingStep | CudaGraphStep = step
    if device.type == "cuda":
        run = CudaGraphStep(step, state, recipe.batch_size)
    number = 0

    def train_step() -> None:
        nonlocal number
        run(loader.batch(number))
        number += 1

    return train_step


def measure_recipe(
    recipe: Recipe,
    data: Dataset,
    device: torch.device,
    *,
    rounds: int,
    steps: int,
    with_compile: bool,
) -> dict[str, object]:
    """Images/s and kernels of a recipe's step, switch by switch; prints them."""
    switches = switch_rows(recipe, with_compile=with_compile)
    rates: dict[str, list[float]] = {row: [] for row in switches}
    kernels: dict[str, Kernels] = {}
    rows = {row: recipe_step(data, recipe, each, device) for row, each in switches.items()}
    for train_step in rows.values():
        train_step()
        train_step()
    for _ in range(rounds):
        for row, train_step in rows.items():
            seconds = time_steps(train_step, steps, device)
            rates[row].append(steps * recipe.batch_size / seconds)
    for row, train_step in rows.items():
        kernels[row] = profile_kernels(train_step, device, 1)

    medians = {row: round(median(values), 1) for row, values in rates.items()}
    for row, rate in medians.items():
        ratio = rate / medians["plain step"]
        count = kernels[row]["kernels"]
        print(
            f"{recipe.name + ': ' + row:46} {rate:8.1f} images/s {ratio:6.2f} x {count:6} kernels"
        )
    return {"images_per_second": medians, "kernels": kernels}


def time_steps(train_step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Returns the seconds that some steps take."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(steps):
        train_step()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
