"""Training speed: the seed's plain loop, and the effect of each optimization, in one process.

    python benchmarks/bench_training.py [--threads 2] [--rounds 3] [--steps 4] [--compile]
        [--recipes dcgan64 dcgan64:256 dcgan64-seed] [--out benchmarks/results/training.json]

All rows train the seed model, batch 64, 64x64, on the same bytes. The rows take turns, so that a
machine that slows down slows all of them; the best round of each counts. The last rows are one
large matrix product with the multiplications of a step, as images per second: in bf16 about the
peak of the processor. (In fp32 torch uses the product of MKL, which on AMD is slower than the
convolutions of oneDNN.)

With `--recipes`, the step of each recipe named, in batches of its own size or of the one after the
colon, is measured as `dcgan-train` computes it: plain, with each switch of `engine` alone, and with
all of them, on a GPU as CUDA graphs. These rows take turns, too, and the median of the rounds
counts. The number of kernels (on a CPU, of operators) and the most expensive ones stand beside. On
a GPU three recipes are measured unless others are named.

On a GPU, float32 convolutions run in TF32 in every row, which is the default of torch;
`dcgan-train --precision fp32` switches that off.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from plain_loop import BATCH, plain_loop
from step_switches import measure_recipe, recipe_step, time_steps
from torch.utils.flop_counter import FlopCounterMode

from dcgan.core.hardware import describe_host
from dcgan.core.images import Pixels
from dcgan.core.versions import library_versions, project_commit
from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import LIBRARIES, describe_hardware
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import TrainingState, create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.models import gemm_convolution
from dcgan.training.models.networks import Discriminator, Generator
from dcgan.training.recipe_files import load_recipe
from dcgan.training.switches import StepSwitches

GPU_RECIPES = ["dcgan64", "dcgan64-seed", "dcgan64-r3"]


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What our step does differently from the plain loop; every default is as there."""

    precision: str = "fp32"
    channels_last: bool = False
    fused: bool = False
    frozen: bool = False
    gemm: bool = False
    graphs: bool = False


def our_loop(
    data: Dataset, recipe: Recipe, device: torch.device, options: StepOptions
) -> Callable[[], None]:
    """Our step; each option that is off is put back to what the plain loop does."""
    state = create_state(recipe, device, options)
    eager = TrainingStep(recipe, state, options.precision)
    step = CudaGraphStep(eager, state, BATCH) if options.graphs else eager
    loader = BatchLoader(data, recipe, 0, device)
    number = 0

    def train_step() -> None:
        nonlocal number
        gemm_convolution.ENABLED = options.gemm
        batch = loader.batch(number)
        if not options.channels_last:
            batch = replace(batch, real=batch.real.contiguous())
        step(batch)
        number += 1

    return train_step


def create_state(recipe: Recipe, device: torch.device, options: StepOptions) -> TrainingState:
    """Returns the networks and optimizers of our step."""
    state = create_training_state(recipe, 0, device)
    networks = (state.generator, state.discriminator)
    if not options.channels_last:
        for network in networks:
            network.to(memory_format=torch.contiguous_format)

    # The state of an optimizer has the layout of the weights, so create it again.
    if not (options.channels_last and options.fused):
        adams = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=options.fused)
            for network in networks
        ]
        state = replace(state, generator_adam=adams[0], discriminator_adam=adams[1])

    if not options.frozen:

        def keep(_: bool = True) -> Discriminator:
            return state.discriminator

        state.discriminator.requires_grad_ = cast(Any, keep)  # type: ignore[method-assign]
    return state


def option_rows(device: torch.device) -> dict[str, StepOptions]:
    """Returns the rows of our step: each optimization alone, and all of them."""
    every = StepOptions(frozen=True, fused=True, channels_last=True, gemm=device.type == "cpu")
    bf16 = replace(every, precision="bf16")
    rows = {
        "ours, every switch off": StepOptions(),
        "no gradients for D's weights in G's step": StepOptions(frozen=True),
        "fused Adam": StepOptions(fused=True),
        "channels-last": StepOptions(channels_last=True),
        "bf16": StepOptions(precision="bf16"),
        "all of them in fp32": every,
        "all of them in bf16, but no matrix products": replace(bf16, gemm=False),
        "all of them in bf16": bf16,
    }
    if device.type == "cuda":
        rows["all of them in fp32, as CUDA graphs"] = replace(every, graphs=True)
        rows["all of them in bf16, as CUDA graphs"] = replace(bf16, graphs=True)
    return rows


def peak_rows(recipe: Recipe, device: torch.device) -> dict[str, Callable[[], None]]:
    """Matrix products with the multiplications of a step.

    The plain loop's nine passes through D include gradients of D's weights in G's step.
    """
    plain = multiplications(recipe, 9)
    ours = multiplications(recipe, 8)
    return {
        "peak of matrix products in fp32, plain loop": peak(torch.float32, plain, device),
        "peak of matrix products in fp32, ours": peak(torch.float32, ours, device),
        "peak of matrix products in bf16, ours": peak(torch.bfloat16, ours, device),
    }


def measure(
    rows: dict[str, Callable[[], None]], rounds: int, steps: int, device: torch.device
) -> dict[str, float]:
    """Images/s of each row: the best of several rounds, in which the rows take turns."""
    best = dict.fromkeys(rows, 0.0)
    for train_step in rows.values():
        train_step()
        train_step()
    for _ in range(rounds):
        for name, train_step in rows.items():
            best[name] = max(best[name], steps * BATCH / time_steps(train_step, steps, device))
    return best


def peak(
    precision: torch.dtype, multiplications: float, device: torch.device
) -> Callable[[], None]:
    """A matrix product with as many multiplications as a step."""
    side = round(multiplications ** (1 / 3))
    a, b = (torch.randn(side, side, device=device).to(precision) for _ in range(2))

    def multiply() -> None:
        a @ b

    return multiply


def multiplications(recipe: Recipe, passes_of_discriminator: int) -> float:
    """Multiplications of a step: three passes through G (forward, two gradients), and D's."""
    counts: list[float] = []
    for network, shape in (
        (Generator(recipe.generator), (1, recipe.generator.latent_size)),
        (Discriminator(recipe.discriminator), (1, 3, 64, 64)),
    ):
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(shape))
        counts.append(counter.get_total_flops() / 2)
    return BATCH * (3 * counts[0] + passes_of_discriminator * counts[1])


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--compile", action="store_true", help="also with torch.compile, which needs a C++ compiler"
    )
    parser.add_argument(
        "--recipes", nargs="*", help="measure their steps, switch by switch (on a GPU three)"
    )
    parser.add_argument(
        "--set", action="append", default=[], help="change a value of these recipes"
    )
    parser.add_argument(
        "--only-recipes", action="store_true", help="leave out the rows of the seed model"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "training.json"
    )
    return parser.parse_args()


def read_recipe(text: str, changes: list[str]) -> Recipe:
    """Reads NAME or NAME:BATCH, with further changes."""
    name, _, batch = text.partition(":")
    return load_recipe(name, [*changes, *([f"batch_size={batch}"] if batch else [])])


def measure_seed_model(
    images: Pixels, data: Dataset, device: torch.device, options: argparse.Namespace
) -> dict[str, float]:
    """Images/s of the plain loop and of our step of the seed model."""
    recipe = load_recipe("dcgan64-seed")
    rows = {"plain loop": plain_loop(images, device)}
    for name, step_options in option_rows(device).items():
        rows[name] = our_loop(data, recipe, device, step_options)
    if options.compile:
        bf16 = replace(recipe, precision="bf16")
        switches = StepSwitches(compile=True, weight_copies=True)
        rows["all of them in bf16, compiled"] = recipe_step(data, bf16, switches, device)
    rows |= peak_rows(recipe, device)

    speeds = measure(rows, options.rounds, options.steps, device)
    plain = speeds["plain loop"]
    for name, speed in speeds.items():
        print(f"{name:46} {speed:8.1f} images/s {speed / plain:6.2f} x")
    return {name: round(speed, 1) for name, speed in speeds.items()}


def main() -> None:
    """Measures every row, prints the speeds and writes them to a file."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    images = np.random.default_rng(0).integers(0, 256, (4096, 32, 32, 3), dtype=np.uint8)
    data = Dataset(name="noise", images=images, labels=None, class_names=(), sha256="0" * 64)
    result: dict[str, object] = {
        "hardware": describe_hardware(options.device),
        "host": describe_host(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": project_commit() or "unknown",
        "versions": library_versions(*LIBRARIES),
        "protocol": f"seed model, batch {BATCH}, 64x64; best of {options.rounds} rounds "
        f"of {options.steps} steps; recipes: median of these rounds, each in its batch size",
    }
    if not options.only_recipes:
        result["images_per_second"] = measure_seed_model(images, data, device, options)

    recipes = options.recipes
    if recipes is None:
        recipes = GPU_RECIPES if device.type == "cuda" else []
    if recipes:
        larger = np.random.default_rng(0).integers(0, 256, (4096, 64, 64, 3), dtype=np.uint8)
        data = replace(data, images=larger)
        result["recipes"] = {
            f"{recipe.name}, batch {recipe.batch_size}": measure_recipe(
                recipe,
                data,
                device,
                rounds=options.rounds,
                steps=options.steps,
                with_compile=options.compile,
            )
            for recipe in (read_recipe(text, options.set) for text in recipes)
        }

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
