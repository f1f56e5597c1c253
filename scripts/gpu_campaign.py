"""Everything that is to be measured on a GPU, in one run of at most 20 minutes.

    python scripts/gpu_campaign.py --out results [--minutes 20] [--data cifar10.zip] [--dry-run]

The stages run in order of their value. Each writes its result at once into `campaign.json` and
`campaign.md` of the output folder, and its full output into a log; a stage that fails or runs out
of time does not stop the others. `--dry-run` runs all stages small on the CPU, which shows that the
script works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dcgan.core.atomic import write_file
from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CUDA, available_providers
from dcgan.core.versions import library_versions

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("numpy", "onnx", "onnxruntime-gpu", "torch")
LOG_LINES = 15  # of a failed stage, that are kept in the result


class StageError(Exception):
    """A stage that failed, with the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all stages share.

    Attributes:
        out: folder of the results.
        data: images to train on; None for random digits that the package ships.
        deadline: end of the campaign, by `time.monotonic`.
        dry_run: whether to run small, on the CPU.
    """

    out: Path
    data: Path | None
    deadline: float
    dry_run: bool

    @property
    def device(self) -> str:
        """The device that stages measure."""
        return "cpu" if self.dry_run else "cuda"

    def run(self, stage: str, *command: str, timeout_s: float = 600.0) -> str:
        """Runs a program, keeps its output in a log, and returns the output.

        Raises:
            StageError: if it fails, or takes too long.
        """
        left_s = max(1.0, min(timeout_s, self.deadline - time.monotonic()))
        log = self.out / f"{stage}.log"
        with log.open("a", encoding="utf-8") as file:
            try:
                code = subprocess.run(
                    [sys.executable, *command],
                    cwd=ROOT,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONUNBUFFERED": "1"},
                    timeout=left_s,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = None

        output = log.read_text(encoding="utf-8", errors="replace")
        if code != 0:
            reason = f"ran out of its {left_s:.0f} s" if code is None else f"exit code {code}"
            end = "\n".join(output.splitlines()[-LOG_LINES:])
            raise StageError(f"{reason}\n{end}")
        return output


Result = dict[str, object]
Stage = Callable[[Campaign], Result]


def versions(campaign: Campaign) -> Result:
    """The processors, execution providers and libraries."""
    providers = available_providers()
    if not campaign.dry_run and CUDA not in providers:
        raise StageError("ONNX Runtime finds no CUDA here")
    return {
        "providers": {provider: processor_family(provider) for provider in providers},
        "libraries": library_versions(*LIBRARIES),
    }


def gpu_tests(campaign: Campaign) -> Result:
    """The tests that need a GPU."""
    only_collect = ["--collect-only"] if campaign.dry_run else []
    output = campaign.run("gpu-tests", "-m", "pytest", "-q", "-m", "gpu", *only_collect)
    return {"summary": output.strip().splitlines()[-1]}


def promise(campaign: Campaign) -> Result:
    """The bytes of random requests to two servers that run differently, one of them restarted."""
    requests = 60 if campaign.dry_run else 10_000
    results: Result = {}
    for precision in ("fp32",) if campaign.dry_run else ("fp16", "fp32"):
        report = campaign.out / f"same-bytes-{precision}.json"
        campaign.run(
            "promise",
            "benchmarks/same_bytes.py",
            "--requests",
            str(requests),
            "--device",
            campaign.device,
            "--precision",
            precision,
            "--out",
            str(report),
        )
        results[precision] = json.loads(report.read_text(encoding="utf-8"))
    return results


def serving(campaign: Campaign) -> Result:
    """Images per second of the bare engine and of the service."""
    report = campaign.out / "serving-gpu.json"
    if campaign.dry_run:
        campaign.run("serving", "benchmarks/bench_serving_gpu.py", "--help")
        return {"skipped": "needs a GPU"}
    campaign.run(
        "serving", "benchmarks/bench_serving_gpu.py", "--workers", "1,4,8", "--out", str(report)
    )
    return dict(json.loads(report.read_text(encoding="utf-8")))


def export(campaign: Campaign) -> Result:
    """A short training, and the time that its export takes with its parity gate."""
    run_folder = campaign.out / "export-run"
    campaign.run(
        "export",
        "-m",
        "dcgan.training",
        "--data",
        "digits",
        "--recipe",
        "digits" if campaign.dry_run else "dcgan64-seed",
        "--steps",
        "20",
        "--device",
        campaign.device,
        "--out",
        str(run_folder),
    )
    began = time.monotonic()
    formats = ["--onnx"] if campaign.dry_run else ["--onnx", "--fp16", "--target", "cuda"]
    output = campaign.run(
        "export",
        "-m",
        "dcgan.export",
        str(run_folder),
        "--out",
        str(campaign.out / "models"),
        "--name",
        "campaign",
        *formats,
    )
    return {
        "seconds": round(time.monotonic() - began, 1),
        "report": output.splitlines()[-LOG_LINES:],
    }


def training(campaign: Campaign) -> Result:
    """Images per second of the training step, switch by switch."""
    report = campaign.out / "training.json"
    steps = (
        ["--rounds", "1", "--steps", "1"]
        if campaign.dry_run
        else ["--rounds", "5", "--steps", "50"]
    )
    campaign.run(
        "training",
        "benchmarks/bench_training.py",
        "--device",
        campaign.device,
        *steps,
        "--out",
        str(report),
    )
    return dict(json.loads(report.read_text(encoding="utf-8")))


def zoo(campaign: Campaign) -> Result:
    """The default recipe on the images that were given, in the time that is left."""
    data = str(campaign.data) if campaign.data else "digits"
    recipe = "digits" if campaign.dry_run or campaign.data is None else "dcgan64"
    steps = ["--steps", "20"] if campaign.dry_run else []
    run_folder = campaign.out / "zoo-run"
    command = [
        "-m",
        "dcgan.training",
        "--data",
        data,
        "--recipe",
        recipe,
        "--device",
        campaign.device,
        "--checkpoint-seconds",
        "60",
        *steps,
        "--out",
        str(run_folder),
    ]
    try:
        campaign.run("zoo", *command, timeout_s=campaign.deadline - time.monotonic() - 30)
    except StageError as error:
        if not (run_folder / "generator.safetensors").exists():
            raise
        return {"stopped": str(error).splitlines()[0], "folder": run_folder.name}
    return {"folder": run_folder.name}


STAGES: tuple[Stage, ...] = (versions, gpu_tests, promise, serving, export, training, zoo)


@dataclass
class Outcome:
    """What became of one stage."""

    stage: str
    seconds: float
    result: Result = field(default_factory=dict)
    error: str | None = None


def run_stages(campaign: Campaign, stages: Sequence[Stage]) -> list[Outcome]:
    """Runs the stages and writes what is known after each."""
    outcomes: list[Outcome] = []
    for stage in stages:
        began = time.monotonic()
        print(f"{stage.__name__} ...", flush=True)
        outcome = Outcome(stage.__name__, 0.0)
        try:
            outcome.result = stage(campaign)
        except Exception as error:  # noqa: BLE001 - one stage must not take the others with it
            outcome.error = f"{type(error).__name__}: {error}"
        outcome.seconds = round(time.monotonic() - began, 1)
        outcomes.append(outcome)
        print(f"{stage.__name__}: {outcome.error or 'done'} ({outcome.seconds} s)", flush=True)
        write_results(campaign, outcomes)
    return outcomes


def write_results(campaign: Campaign, outcomes: Sequence[Outcome]) -> None:
    """Writes campaign.json, and campaign.md with a table."""
    document = {"dry_run": campaign.dry_run, "stages": [vars(outcome) for outcome in outcomes]}
    write_file(campaign.out / "campaign.json", (json.dumps(document, indent=2) + "\n").encode())

    lines = ["| stage | seconds | outcome |", "| --- | ---: | --- |"]
    for outcome in outcomes:
        said = outcome.error.splitlines()[0] if outcome.error else "done"
        lines.append(f"| {outcome.stage} | {outcome.seconds} | {said} |")
    for outcome in outcomes:
        details = json.dumps(outcome.result, indent=2)
        lines += ["", f"## {outcome.stage}", "", "```json", details, "```"]
    write_file(campaign.out / "campaign.md", ("\n".join(lines) + "\n").encode())


def main() -> None:
    """Runs the campaign; exit code 1 if a stage failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=20.0, help="bound on the whole campaign")
    parser.add_argument("--data", type=Path, help="images for the last stage; digits by default")
    parser.add_argument("--dry-run", action="store_true", help="run small, on the CPU")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(
        out=arguments.out.resolve(),
        data=arguments.data and arguments.data.resolve(),
        deadline=time.monotonic() + 60 * arguments.minutes,
        dry_run=arguments.dry_run,
    )
    outcomes = run_stages(campaign, STAGES)
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
