"""The last stage: models are trained in the time that is left, saved often, and evaluated."""

from __future__ import annotations

import gzip
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from campaign.run import Campaign, Result, StageError, kill_group, read_report

MAX_FILE_BYTES = 15_000_000
"""Larger files are split, so that a machine whose results are fetched in small files keeps them."""

_SAVE_EVERY_S = 120.0
_POLL_S = 1.0
_STOP_S = 45.0  # for the last checkpoint, after SIGTERM
_EVALUATION_S = 60.0  # for export and evaluation of each model
_EVALUATE = "from dcgan.evaluation.cli import main; main()"


def trainings(campaign: Campaign, result: Result) -> None:
    """Trains the models one after the other; each may take its share of the time that is left."""
    result["summary"] = "no model"
    finished = []
    errors = []

    for i, (recipe, data) in enumerate(campaign.trainings):
        share_s = campaign.seconds_left() / (len(campaign.trainings) - i)
        name = f"{i + 1}-{recipe}"
        result[name] = {}
        try:
            train(campaign.until(share_s), name, recipe, data, result[name])
        except StageError as error:  # the other models are worth having
            errors.append(f"{name}: {error}")
        finished.append(f"{recipe}: {result[name].get('ended', 'not started')}")
        result["summary"] = "; ".join(finished)

    if errors:
        raise StageError("\n".join(errors))


def train(campaign: Campaign, name: str, recipe: str, data: str, result: Result) -> None:
    """Trains one model until it is done or its time is over, then evaluates it.

    Raises:
        StageError: if there are no weights.
    """
    run_folder = campaign.work / name
    place = campaign.out / name
    place.mkdir(parents=True, exist_ok=True)
    process = campaign.start(
        "trainings",
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
        *(["--steps", "5"] if campaign.dry_run else []),
        "--out",
        str(run_folder),
    )
    result["ended"] = wait_and_save(campaign, process, run_folder, place)

    if not (run_folder / "generator.safetensors").exists():
        raise StageError(f"{recipe} has no weights\n{campaign.end_of_log('trainings')}")
    evaluate(campaign, name, data, result)


def wait_and_save(
    campaign: Campaign, process: subprocess.Popen[bytes], run_folder: Path, place: Path
) -> str:
    """Waits for a training, saves its weights every few minutes, and stops it in time.

    Returns:
        How it ended.
    """
    ended = "finished"
    saved = time.monotonic()
    try:
        while process.poll() is None:
            if campaign.seconds_left() < _EVALUATION_S + _STOP_S:
                ended = "stopped in time"
                process.send_signal(signal.SIGTERM)
                process.wait(_STOP_S)
                break
            if time.monotonic() - saved > _SAVE_EVERY_S:
                save(run_folder, place)
                saved = time.monotonic()
            time.sleep(_POLL_S)
    except subprocess.TimeoutExpired:
        ended = "killed"
    finally:
        if process.poll() is None:
            kill_group(process)
        save(run_folder, place)
    return ended if process.returncode in {0, 143, -9} else f"exit code {process.returncode}"


def save(run_folder: Path, place: Path) -> None:
    """Copies what is worth keeping of a run into small files."""
    for name in ("generator.safetensors", "config.json"):
        if (run_folder / name).exists():
            copy_in_parts(run_folder / name, place)

    metrics = run_folder / "metrics.jsonl"
    if metrics.exists():
        (place / "metrics.jsonl.gz").write_bytes(gzip.compress(metrics.read_bytes(), mtime=0))
    samples = sorted((run_folder / "samples").glob("step-*.png"))
    if samples:
        shutil.copyfile(samples[-1], place / "samples.png")


def copy_in_parts(path: Path, folder: Path, max_bytes: int = MAX_FILE_BYTES) -> list[Path]:
    """Copies a file, in parts `NAME.part0`, `NAME.part1`, ... if it is large; `cat` joins them."""
    data = path.read_bytes()
    parts = list(_split(data, max_bytes))
    names = [path.name] if len(parts) == 1 else [f"{path.name}.part{i}" for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        (folder / name).write_bytes(part)
    return [folder / name for name in names]


def _split(data: bytes, max_bytes: int) -> Iterator[bytes]:
    for start in range(0, max(len(data), 1), max_bytes):
        yield data[start : start + max_bytes]


def evaluate(campaign: Campaign, name: str, data: str, result: Result) -> None:
    """Exports a run, and measures the quality of its images if the packages for it are there."""
    began = time.monotonic()
    export = ["--out", str(campaign.work / "models"), "--name", name, "--onnx"]
    campaign.run("trainings", "-m", "dcgan.export", str(campaign.work / name), *export)
    result["export_s"] = round(time.monotonic() - began, 1)

    report = campaign.out / name / "evaluation.json"
    images = "20" if campaign.dry_run else "800"
    options = ["-n", images, "--no-frechet", "--no-baselines", "--json", str(report)]
    model = str(campaign.work / "models" / name / "1")
    try:
        campaign.run("trainings", "-c", _EVALUATE, model, "--reference", data, *options)
    except StageError as error:
        result["not_evaluated"] = str(error).splitlines()[-1]
    result["evaluation"] = read_report(report)
