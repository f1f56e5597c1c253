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
    """Returns the command line of the run."""
    data = ["--data", options.data, "--recipe", options.recipe]
    length = ["--steps", str(options.steps), "--seed", str(options.seed)]
    often = ["--checkpoint-steps", "5", "--set", "sample_steps=20"]
    device = ["--device", options.device, "--deterministic"]
    run = [sys.executable, "-m", "dcgan.training"]
    return [*run, *data, *length, *often, *device, "--out", str(out)]


def digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file but those of TensorBoard, which hold clock times."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.parent.name != "tensorboard"
    )
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def steps_written(folder: Path) -> int:
    """Returns the number of rows that the metrics log has so far."""
    path = folder / METRICS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_once(options: argparse.Namespace, out: Path, steps: int, delay: float) -> int | None:
    """Starts or resumes the run and kills it after it has written some steps and a delay.

    Returns:
        The rows of its metrics log when it was killed, or None if it reached its end before.
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


def kill_again_and_again(options: argparse.Namespace, out: Path) -> list[int]:
    """Kills and resumes a run, then lets it finish.

    Returns:
        The step at each kill; fewer than were asked for if the run reached its end before.
    """
    rng = random.Random(options.seed)
    killed: list[int] = []
    while len(killed) < options.kills:
        steps_left = options.steps - steps_written(out)
        kills_left = options.kills - len(killed)
        steps = rng.randrange(max(2 * steps_left // (kills_left + 1), 1))
        step = kill_once(options, out, steps, rng.uniform(0.0, 0.2))
        if step is None:
            break
        killed.append(step)
        print(f"kill {len(killed)} at step {step}", flush=True)

    subprocess.run([*command(options, out), "--resume"], check=True, stdout=subprocess.DEVNULL)
    return killed


def describe(
    options: argparse.Namespace,
    killed: list[int],
    broken: dict[str, str],
    whole: dict[str, str],
) -> dict[str, object]:
    """Compares the files of both runs.

    Args:
        options: options of this script.
        killed: the step at each kill.
        broken: SHA-256 of each file of the run that was killed.
        whole: SHA-256 of each file of the run that was not.
    """
    kept = {name: digest for name, digest in broken.items() if not name.endswith(".part")}
    names = kept.keys() | whole.keys()
    return {
        "hardware": describe_hardware(options.device),
        "versions": library_versions(*LIBRARIES),
        "protocol": f"{options.recipe} on {options.data}, {options.steps} steps, "
        f"a checkpoint every 5; SIGKILL at random, seed {options.seed}",
        "killed_at_steps": killed,
        "files_compared": len(whole),
        "files_that_differ": sorted(name for name in names if kept.get(name) != whole.get(name)),
        "generator_sha256_without_kills": whole["generator.safetensors"],
        "generator_sha256_with_kills": broken["generator.safetensors"],
    }


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
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
    return parser.parse_args()


def main() -> None:
    """Runs both, compares them and writes the result."""
    options = parse_options()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        broken = Path(scratch) / "broken"
        quiet = subprocess.DEVNULL
        subprocess.run(command(options, whole), check=True, stdout=quiet, stderr=quiet)
        killed = kill_again_and_again(options, broken)
        result = describe(options, killed, digests(broken), digests(whole))

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(0 if not result["files_that_differ"] and len(killed) == options.kills else 1)


if __name__ == "__main__":
    main()
