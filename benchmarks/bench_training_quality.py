"""Quality after short trainings with changed recipes: KD-Lite0, with several seeds each.

    python benchmarks/bench_training_quality.py --data cifar10-train.zip [--images 128000]
        [--seeds 0,1,2] [--only NAME]... [--out results/training-quality.json]

Every training sees the same number of images, so a change that makes a step slower gets more time.
Each is run by `dcgan-train` on one thread and judged by `dcgan-evaluate`. Results are written after
each training, and those that are there already are not repeated, so the benchmark can be stopped
and continued. The spread over the seeds says which differences mean something. Short trainings tell
little about long ones: a change that wins here is worth a long training.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from dcgan.core.atomic import write_file
from dcgan.core.versions import library_versions
from dcgan.training.device import describe_hardware
from dcgan.training.recipe_files import load_recipe

RECIPE = "dcgan32"
WIDTH = 32
NARROW = (f"generator.width={WIDTH}", f"discriminator.width={WIDTH}")
JUDGED = 2000  # generated images
LIBRARIES = ("dcgan-zoo", "numpy", "torch")

CHANGES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "no augmentation": ("augment=[]",),
    "no bCR": ("consistency=0",),
    "no bCR, no augmentation": ("consistency=0", "augment=[]"),
    "no bCR, batch 128, rates of 5.7e-4": (
        "consistency=0",
        "batch_size=128",
        "generator_adam.rate=5.7e-4",
        "discriminator_adam.rate=5.7e-4",
    ),
    "no bCR, rates of 2e-4": (
        "consistency=0",
        "generator_adam.rate=2e-4",
        "discriminator_adam.rate=2e-4",
    ),
    "no bCR, R1 of 0.1 every 8 steps": ("consistency=0", "r1=0.1", "penalty_every=8"),
    "no bCR, EMA with a half-life of 5,000 images": ("consistency=0", "average_images=5000"),
    "seven convolutions": ("discriminator.depth=2",),
}


def main() -> None:
    """Runs the trainings that have no result yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="CIFAR-10 as a StyleGAN zip, or cifar10")
    parser.add_argument("--images", type=int, default=128000, help="that each training sees")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", action="append", choices=CHANGES, help="only this change")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "training-quality.json"
    )
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # of this process, as of the trainings: for the name of the hardware
    document = read_document(arguments.out, arguments.images, Path(arguments.data).name)
    results = document["kernel_distance"]
    for name in arguments.only or CHANGES:
        for seed in arguments.seeds.split(","):
            if seed in results.setdefault(name, {}):
                continue
            report = train_and_judge(arguments.data, arguments.images, CHANGES[name], seed)
            results[name][seed] = report["scores"]["kd"]
            document["standard_error"] = max(
                document["standard_error"], report["scores"]["kd_error"]
            )
            document["other_real_images"] = report["baselines"]["other real images"]["kd"]
            print(f"{name}, seed {seed}: KD x 1000 {1000 * results[name][seed]:.1f}", flush=True)
            write_file(arguments.out, (json.dumps(document, indent=2) + "\n").encode())


def read_document(path: Path, images: int, data: str) -> dict[str, Any]:
    """Returns the results that are there, or an empty document for these settings."""
    settings = {
        "recipe": RECIPE,
        "width": WIDTH,
        "images": images,
        "judged": JUDGED,
        "data": data,
    }
    if path.exists():
        document: dict[str, Any] = json.loads(path.read_text())
        if document["settings"] != settings:
            sys.exit(f"{path} has results of other settings; name another file with --out")
        return document
    return {
        "hardware": describe_hardware("cpu"),
        "versions": library_versions(*LIBRARIES),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "settings": settings,
        "standard_error": 0.0,
        "kernel_distance": {},
    }


def train_and_judge(data: str, images: int, changes: tuple[str, ...], seed: str) -> dict[str, Any]:
    """Returns the report of `dcgan-evaluate` on a generator that was trained with changes."""
    batch = load_recipe(RECIPE, changes).batch_size
    scripts = Path(sys.executable).parent
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        report = Path(folder) / "report.json"
        options = [f"--set={change}" for change in (*NARROW, *changes)]
        train = [str(scripts / "dcgan-train"), f"--data={data}", f"--recipe={RECIPE}", *options]
        train += [f"--steps={images // batch}", f"--seed={seed}", "--device=cpu", f"--out={run}"]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL, env=one_thread)

        judge = [str(scripts / "dcgan-evaluate"), str(run), f"--reference={data}", f"-n{JUDGED}"]
        judge += ["--no-frechet", "--no-baselines", f"--json={report}"]
        subprocess.run(judge, check=True, stdout=subprocess.DEVNULL, env=one_thread)
        document: dict[str, Any] = json.loads(report.read_text())
        return document


if __name__ == "__main__":
    main()
