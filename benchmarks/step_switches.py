"""The training step of a recipe with each switch of its engine, for bench_training.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace
from statistics import median

import torch

from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import resolve_precision, resolve_switches
from dcgan.training.engine.compiled import compile_step
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.profiling import Kernels, profile_kernels
from dcgan.training.switches import EngineConfig, StepSwitches


def switch_rows(
    recipe: Recipe, device: torch.device, *, with_compile: bool
) -> dict[str, StepSwitches]:
    """Returns the rows of a recipe: plain, with each switch that it can use, and with all."""
    names = [each.name for each in fields(EngineConfig) if each.name != "compile"]
    engines = {name: {name: "on"} for name in names}
    engines["all of them"] = dict.fromkeys(names, "on")
    if with_compile:
        engines["all of them, compiled"] = engines["all of them"] | {"compile": "on"}

    off = dict.fromkeys([*names, "compile"], "off")
    precision = resolve_precision("auto", device.type, recipe)
    rows = {"plain step": StepSwitches()}
    for row, engine in engines.items():
        wanted = replace(recipe, engine=EngineConfig(**(off | engine)))
        switches = resolve_switches(wanted, device.type, precision, steps=1)
        if switches != StepSwitches():  # otherwise the recipe cannot use it
            rows[row] = switches
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
    """Images/s and kernels of a recipe's step, switch by switch; prints them.

    On a GPU every recipe is measured in bf16, those that ask for float32 too.
    """
    if device.type == "cuda":
        recipe = replace(recipe, precision="bf16")
    switches = switch_rows(recipe, device, with_compile=with_compile)
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
    return {"batch_size": recipe.batch_size, "images_per_second": medians, "kernels": kernels}


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
