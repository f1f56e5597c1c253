"""Training speed: the seed's plain loop, and the effect of each optimization, in one process.

    python benchmarks/bench_training.py [--threads 2] [--rounds 3] [--steps 4]
        [--out benchmarks/results/training.json]

All rows train the seed model, batch 64, 64x64, on the same bytes. The rows take turns, so that a
machine that slows down slows all of them; the best round of each counts. The last rows are one
large matrix product with the multiplications of a step, as images per second: in bf16 about the
peak of the processor. (In fp32 torch uses the product of MKL, which on AMD is slower than the
convolutions of oneDNN.)

On a GPU, float32 convolutions run in TF32 in every row, which is the default of torch;
`dcgan-train --precision fp32` switches that off.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dcgan.core.images import Pixels
from dcgan.core.versions import library_versions
from dcgan.training.config import Recipe, load_recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import LIBRARIES, describe_hardware
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.models import gemm_convolution
from dcgan.training.models.networks import Discriminator, Generator

BATCH = 64


def plain_loop(images: Pixels, device: torch.device) -> Callable[[], None]:
    """The seed's loop: fp32, nn.Sequential, sigmoid and BCELoss, default Adam, .item()."""
    up = [nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False), nn.BatchNorm2d(512), nn.ReLU(True)]
    down = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for width in (512, 256, 128):
        up += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(True),
        ]
    for width in (64, 128, 256):
        down += [
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2, True),
        ]
    generator = nn.Sequential(*up, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()).to(
        device
    )
    discriminator = nn.Sequential(*down, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid()).to(
        device
    )
    for network in (generator, discriminator):
        for module in network:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCELoss()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def step() -> None:
        real = pixels[torch.randperm(len(pixels))[:BATCH]].to(device).float() / 127.5 - 1.0
        real = nn.functional.interpolate(real, size=64, mode="bilinear")
        ones, zeros = torch.ones(BATCH, device=device), torch.zeros(BATCH, device=device)
        discriminator.zero_grad()
        loss_real = criterion(discriminator(real).view(-1), ones)
        loss_real.backward()
        fake = generator(torch.randn(BATCH, 100, 1, 1, device=device))
        loss_fake = criterion(discriminator(fake.detach()).view(-1), zeros)
        loss_fake.backward()
        adam_d.step()
        generator.zero_grad()
        loss = criterion(discriminator(fake).view(-1), ones)
        loss.backward()
        adam_g.step()
        (loss_real.item(), loss_fake.item(), loss.item())

    return step


def our_loop(
    data: Dataset,
    recipe: Recipe,
    device: torch.device,
    *,
    precision: str,
    channels_last: bool,
    fused: bool,
    frozen: bool,
    as_products: bool,
    graphs: bool,
    compiled: bool = False,
) -> Callable[[], None]:
    """Our step; each switch that is off is put back to what the plain loop does."""
    state = create_training_state(recipe, 0, device)
    if not channels_last:
        for network in (state.generator, state.discriminator):
            network.to(memory_format=torch.contiguous_format)
    if not (
        channels_last and fused
    ):  # the state of the optimizers has the layout of the weights: make it anew
        adams = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=fused)
            for network in (state.generator, state.discriminator)
        ]
        state = replace(state, generator_adam=adams[0], discriminator_adam=adams[1])
    if not frozen:
        state.discriminator.requires_grad_ = lambda _=True: state.discriminator  # type: ignore[method-assign]
    if compiled:
        networks = torch.compile(state.generator), torch.compile(state.discriminator)
        state = replace(state, generator=networks[0], discriminator=networks[1])
    step, loader = TrainingStep(recipe, state, precision), BatchLoader(data, recipe, 0, device)
    if graphs:
        step = CudaGraphStep(step, state, BATCH)
    number = 0

    def train_step() -> None:
        nonlocal number
        gemm_convolution.ENABLED = as_products
        batch = loader.batch(number)
        step(batch if channels_last else replace(batch, real=batch.real.contiguous()))
        number += 1

    return train_step


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
            _wait(device)
            start = time.perf_counter()
            for _ in range(steps):
                train_step()
            _wait(device)
            best[name] = max(best[name], steps * BATCH / (time.perf_counter() - start))
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
    counts = []
    for network, shape in (
        (Generator(recipe.generator), (1, recipe.generator.latent_size)),
        (Discriminator(recipe.discriminator), (1, 3, 64, 64)),
    ):
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(shape))
        counts.append(counter.get_total_flops() / 2)
    return BATCH * (3 * counts[0] + passes_of_discriminator * counts[1])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
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
        "--out", type=Path, default=Path(__file__).parent / "results" / "training.json"
    )
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    images = np.random.default_rng(0).integers(0, 256, (4096, 32, 32, 3), dtype=np.uint8)
    data = Dataset(name="noise", images=images, labels=None, class_names=(), sha256="0" * 64)
    recipe = load_recipe("dcgan64-seed")

    off = {
        "precision": "fp32",
        "channels_last": False,
        "fused": False,
        "frozen": False,
        "as_products": False,
        "graphs": False,
    }
    all_of_them = {
        "frozen": True,
        "fused": True,
        "channels_last": True,
        "as_products": device.type == "cpu",
    }
    switches: dict[str, dict[str, str | bool]] = {
        "ours, every switch off": {},
        "no gradients for D's weights in G's step": {"frozen": True},
        "fused Adam": {"fused": True},
        "channels-last": {"channels_last": True},
        "bf16": {"precision": "bf16"},
        "all of them in fp32": all_of_them,
        "all of them in bf16, but no matrix products": all_of_them
        | {"precision": "bf16", "as_products": False},
        "all of them in bf16": all_of_them | {"precision": "bf16"},
    }
    if device.type == "cuda":
        switches["all of them in fp32, as CUDA graphs"] = all_of_them | {"graphs": True}
        switches["all of them in bf16, as CUDA graphs"] = all_of_them | {
            "graphs": True,
            "precision": "bf16",
        }
    if options.compile:
        switches["all of them in bf16, compiled"] = all_of_them | {
            "precision": "bf16",
            "compiled": True,
        }

    rows = {"plain loop": plain_loop(images, device)}
    rows |= {name: our_loop(data, recipe, device, **(off | on)) for name, on in switches.items()}  # type: ignore[arg-type]
    rows["peak of matrix products in fp32, plain loop"] = peak(
        torch.float32, multiplications(recipe, 9), device
    )
    rows["peak of matrix products in fp32, ours"] = peak(
        torch.float32, multiplications(recipe, 8), device
    )
    rows["peak of matrix products in bf16, ours"] = peak(
        torch.bfloat16, multiplications(recipe, 8), device
    )

    speeds = measure(rows, options.rounds, options.steps, device)
    # Its 9 passes through D include gradients of D's weights in G's step.
    plain = speeds["plain loop"]
    for name, speed in speeds.items():
        print(f"{name:46} {speed:8.1f} images/s {speed / plain:6.2f} x")

    result = {
        "hardware": describe_hardware(options.device),
        "versions": library_versions(*LIBRARIES),
        "protocol": f"seed model, batch {BATCH}, 64x64; best of {options.rounds} rounds "
        f"of {options.steps} steps",
        "images_per_second": {name: round(speed, 1) for name, speed in speeds.items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
