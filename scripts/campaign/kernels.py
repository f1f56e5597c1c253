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
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from dcgan.training.config import load_recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep

TOP = 12
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
    step = TrainingStep(recipe, create_training_state(recipe, 0, device), precision)

    # Warm up, then profile.
    step(loader.batch(0))
    activities = [ProfilerActivity.CPU]
    if not on_cpu:
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize()
    with profile(activities=activities) as profiler:
        for number in range(1, 1 + STEPS):
            step(loader.batch(number))
        if not on_cpu:
            torch.cuda.synchronize()

    arguments.out.write_text(json.dumps(summarize(profiler, device), indent=2) + "\n")


def summarize(profiler: profile, device: torch.device) -> dict[str, object]:
    """Returns the number of kernels of a step, their time, and the most expensive ones."""
    wanted = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    rows = []
    for event in profiler.key_averages():
        if event.device_type == wanted:
            on_gpu = wanted == DeviceType.CUDA
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            rows.append((microseconds / STEPS, event.count / STEPS, event.key))
    rows.sort(reverse=True)

    return {
        "kernels_a_step": round(sum(count for _, count, _ in rows)),
        "microseconds_a_step": round(sum(microseconds for microseconds, _, _ in rows)),
        "top": {
            f"{name[:90]} ({count:.0f} launches)": round(microseconds, 1)
            for microseconds, count, name in rows[:TOP]
        },
    }


if __name__ == "__main__":
    main()
