"""The last stage: models are trained in the time that is left, saved often, and evaluated."""

from __future__ import annotations

import gzip
import math
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from campaign.run import Campaign, Result, StageError, kill_group, read_report

MAX_FILE_BYTES = 15_000_000
"""Larger files are split, so that a machine whose results are fetched in small files keeps them."""

AT_ONCE = 4
"""Trainings that share the GPU: one alone does not keep it busy while it starts or evaluates."""

_SAVE_EVERY_S = 120.0
_POLL_S = 1.0
_STOP_S = 45.0  # for the last checkpoint, after SIGTERM
_EVALUATION_S = 60.0  # for export and evaluation of each model
_EVALUATE = "from dcgan.evaluation.cli import main; main()"


@dataclass(frozen=True, kw_only=True)
class Training:
    """One model to train.

    Attributes:
        name: of its folders and its log.
        recipe: name or file of the recipe.
        data: see `--data` of dcgan-train.
        result: what is found.
    """

    name: str
    recipe: str
    data: str
    result: Result


def trainings(campaign: Campaign, result: Result) -> None:
    """Trains the models, some at once; each may take its share of the time that is left."""
    rounds = math.ceil(len(campaign.trainings) / AT_ONCE)
    share_s = campaign.seconds_left() / max(rounds, 1)
    stop = Event()
    errors = []

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {}
        for i, (recipe, data) in enumerate(campaign.trainings):
            name = f"{i + 1}-{Path(recipe).stem}"
            result[name] = {}
            training = Training(name=name, recipe=recipe, data=data, result=result[name])
            running[name] = pool.submit(_train_within, share_s, campaign, training, stop)
        try:
            for name, future in running.items():
                try:
                    future.result()
                except StageError as error:  # the other models are worth having
                    errors.append(f"{name}: {error}")
        finally:
            stop.set()

    ended = [f"{name}: {result[name].get('ended', 'not started')}" for name in running]
    result["summary"] = "; ".join(ended) or "no model"
    if errors:
        raise StageError("\n".join(errors))


def _train_within(share_s: float, campaign: Campaign, training: Training, stop: Event) -> None:
    """Trains one model for its share of the time, which begins now."""
    if not stop.is_set():
        train(campaign.until(share_s), training, stop)


def train(campaign: Campaign, training: Training, stop: Event) -> None:
    """Trains one model until it is done or its time is over, then evaluates it.

    Raises:
        StageError: if there are no weights, or all trainings are to stop.
    """
    name = training.name
    run_folder = campaign.work / name
    place = campaign.out / name
    place.mkdir(parents=True, exist_ok=True)
    process = campaign.start(
        name,
        "-m",
        "dcgan.training",
        "--data",
        training.data,
        "--recipe",
        training.recipe,
        "--device",
        campaign.device,
        "--checkpoint-seconds",
        "60",
        *(["--steps", "5"] if campaign.dry_run else []),
        "--out",
        str(run_folder),
    )
    training.result["ended"] = wait_and_save(campaign, process, run_folder, place, stop)

    if stop.is_set():
        raise StageError("the campaign was interrupted")
    if not (run_folder / "generator.safetensors").exists():
        raise StageError(f"{training.recipe} has no weights\n{campaign.end_of_log(name)}")
    evaluate(campaign, training)


def wait_and_save(
    campaign: Campaign,
    process: subprocess.Popen[bytes],
    run_folder: Path,
    place: Path,
    stop: Event,
) -> str:
    """Waits for a training, saves its weights every few minutes, and stops it in time.

    It also ends the training when `stop` is set.

    Returns:
        How it ended.
    """
    ended = "finished"
    saved = time.monotonic()
    try:
        while process.poll() is None:
            if stop.is_set() or campaign.seconds_left() < _EVALUATION_S + _STOP_S:
                ended = "stopped in time"
                process.send_signal(signal.SIGTERM)
                process.wait(_STOP_S)
                break
            if time.monotonic() - saved > _SAVE_EVERY_S:
                save(run_folder, place)
                saved = time.monotonic()
            stop.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        ended = "killed"
    finally:
        if process.poll() is None:
            kill_group(process)
        save(run_folder, place)
    return ended if process.returncode in {0, 143, -9} else f"exit code {process.returncode}"


def save(run_folder: Path, place: Path) -> None:
    """Copies what is worth keeping of a run into small files."""
    from dcgan.training.monitor.samples import step_grids  # noqa: PLC0415 - imports torch

    for name in ("generator.safetensors", "config.json"):
        if (run_folder / name).exists():
            copy_in_parts(run_folder / name, place)

    metrics = run_folder / "metrics.jsonl"
    if metrics.exists():
        (place / "metrics.jsonl.gz").write_bytes(gzip.compress(metrics.read_bytes(), mtime=0))
    grids = step_grids(run_folder / "samples")
    if grids:
        shutil.copyfile(grids[-1], place / "samples.png")


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


def evaluate(campaign: Campaign, training: Training) -> None:
    """Exports a run, and measures the quality of its images if the packages for it are there."""
    name = training.name
    result = training.result
    began = time.monotonic()
    export = ["--out", str(campaign.work / "models"), "--name", name, "--onnx"]
    campaign.run(name, "-m", "dcgan.export", str(campaign.work / name), *export)
    result["export_s"] = round(time.monotonic() - began, 1)

    report = campaign.out / name / "evaluation.json"
    images = "20" if campaign.dry_run else "800"
    options = ["-n", images, "--no-frechet", "--no-baselines", "--json", str(report)]
    model = str(campaign.work / "models" / name / "1")
    try:
        campaign.run(name, "-c", _EVALUATE, model, "--reference", training.data, *options)
    except StageError as error:
        result["not_evaluated"] = str(error).splitlines()[-1]
    result["evaluation"] = read_report(report)
