"""The operators that a training step spends its time in, by torch's profiler.

    python scripts/campaign/kernels.py [--recipe dcgan64] [--device cuda] --out kernels.json

The step runs operator by operator, without CUDA graphs: in a graph the profiler sees no names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from dcgan.training.config import load_recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.device import resolve_switches
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.profiling import profile_kernels

STEPS = 3


def main() -> None:
    """Profiles a few steps, and writes the most expensive kernels as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="dcgan64-seed")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()

    device = torch.device(arguments.device)
    on_cpu = device.type == "cpu"
    recipe = load_recipe(arguments.recipe, ["batch_size=4"] if on_cpu else [])
    images = np.random.default_rng(0).integers(0, 256, (256, 64, 64, 3), dtype=np.uint8)
    data = Dataset(name="noise", images=images, labels=None, class_names=(), sha256="0" * 64)
    loader = BatchLoader(data, recipe, 0, device)
    precision = "fp32" if on_cpu else "bf16"
    state = create_training_state(recipe, 0, device)
    switches = resolve_switches(recipe, device.type, precision)
    step = TrainingStep(recipe, state, precision, switches=switches)

    # Warm up, then profile.
    step(loader.batch(0))
    numbers = iter(range(1, 1 + STEPS))
    kernels = profile_kernels(lambda: step(loader.batch(next(numbers))), device, STEPS)
    arguments.out.write_text(json.dumps(kernels, indent=2) + "\n")


if __name__ == "__main__":
    main()
