"""Kills and resumes a training run again and again, and compares it with an uninterrupted run.

    python scripts/kill_training.py [--kills 20] [--seed 0] [--data digits] [--recipe digits]
        [--steps 300]

Each kill is a SIGKILL after a random number of further steps and some random milliseconds, so that
it may hit a step, a grid, a checkpoint or the moment between two files. Exit code 0 only if every
file of both runs has the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dcgan.core.versions import library_versions
from dcgan.training.device import LIBRARIES, describe_hardware

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "kills.json"
METRICS = "metrics.jsonl"


def command(options: argparse.Namespace, out: Path) -> list[str]:
    """The command line of the run."""
    words = [
        sys.executable,
        "-m",
        "dcgan.training",
        "--data",
        options.data,
        "--recipe",
        options.recipe,
    ]
    words += ["--steps", str(options.steps), "--seed", str(options.seed), "--checkpoint-steps", "5"]
    return [
        *words,
        "--set",
        "sample_steps=20",
        "--device",
        options.device,
        "--deterministic",
        "--out",
        str(out),
    ]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but those of TensorBoard, which hold clock times."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.parent.name != "tensorboard"
    )
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def steps_written(folder: Path) -> int:
    """Lines of the history so far."""
    path = folder / METRICS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_once(options: argparse.Namespace, out: Path, steps: int, delay: float) -> int | None:
    """Starts or resumes the run and kills it after it has written some steps and a delay.

    Returns:
        The steps in its history when it was killed, or None if it reached its end before.
    """
    with subprocess.Popen(
        [*command(options, out), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        first = None
        while run.poll() is None:
            time.sleep(0.002)
            now = steps_written(out)
            # A resumed run truncates its metrics to the checkpoint; count from there.
            first = now if first is None or now < first else first
            if now >= first + steps:
                time.sleep(delay)
                run.kill()
                run.wait()
                return steps_written(out)
    if run.returncode:
        sys.exit(
            f"the run failed with exit code {run.returncode}: {' '.join(command(options, out))}"
        )
    return None


def main() -> None:
    """Runs both, compares them and writes the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    draw, killed = random.Random(options.seed), []
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        subprocess.run(
            command(options, whole),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(killed) < options.kills:
            left = options.steps - steps_written(broken), options.kills - len(killed)
            step = kill_once(
                options,
                broken,
                draw.randrange(max(2 * left[0] // (left[1] + 1), 1)),
                draw.uniform(0.0, 0.2),
            )
            if step is None:
                break
            killed.append(step)
            print(f"kill {len(killed)} at step {step}", flush=True)
        subprocess.run(
            [*command(options, broken), "--resume"], check=True, stdout=subprocess.DEVNULL
        )
        ours, theirs = digests(broken), digests(whole)
    kept = {name: digest for name, digest in ours.items() if not name.endswith(".part")}
    result = {
        "hardware": describe_hardware(options.device),
        "versions": library_versions(*LIBRARIES),
        "protocol": f"{options.recipe} on {options.data}, {options.steps} steps, "
        f"a checkpoint every 5; SIGKILL at random, seed {options.seed}",
        "killed_at_steps": killed,
        "files_compared": len(theirs),
        "files_that_differ": sorted(
            name for name in kept.keys() | theirs.keys() if kept.get(name) != theirs.get(name)
        ),
        "generator_sha256_without_kills": theirs["generator.safetensors"],
        "generator_sha256_with_kills": ours["generator.safetensors"],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(0 if not result["files_that_differ"] and len(killed) == options.kills else 1)


if __name__ == "__main__":
    main()
