"""A run that is killed and resumed ends bit for bit as an uninterrupted one."""

import os
import random
import re
import resource
import shutil
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import pytest
import torch
from click.testing import CliRunner, Result

from dcgan.training.cli import main
from dcgan.training.engine.checkpoint import (
    CHECKPOINT,
    GOOD,
)
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

OPTIONS = [
    "--recipe", "digits",
    "--set", "generator.width=4", "--set", "discriminator.width=4",
    "--set", "discriminator.norm=spectral", "--set", "batch_size=8", "--set", "average_images=50",
    "--set", "decay_from=0.5", "--set", "flip=true",
    "--set", "augment=['colour','translation','cutout']",
    "--set", "sample_steps=10", "--set", "keep_epochs=2",
    "--checkpoint-steps", "3",
]  # fmt: skip
STEPS = 60


def work(arguments: list[str], most_bytes: int | None = None, renames: int | None = None) -> None:
    """Trains with a limit on the size of files, or is killed after writing so many checkpoints."""
    torch.set_num_threads(1)
    if renames is not None:
        left = iter(range(renames))

        def watch(event: str, details: tuple[object, ...]) -> None:
            if (
                event == "os.rename"
                and str(details[1]).endswith(CHECKPOINT)
                and next(left, None) is None
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
    if most_bytes is not None:
        sys.dont_write_bytecode = True  # cut off, it would break every later import
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    main(arguments)


def arguments(images: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(images), *OPTIONS, "--steps", str(STEPS), "--out", str(out), *more]


class Start(Protocol):
    """Starts `dcgan-train` with the given arguments in a process of its own; see `work`."""

    def __call__(self, arguments: list[str], **options: int) -> BaseProcess: ...


@pytest.fixture(scope="session")
def start(forkserver) -> Start:
    def start_process(arguments: list[str], **options: int) -> BaseProcess:
        process = forkserver.Process(target=work, args=(arguments,), kwargs=options)
        process.start()
        return process

    return start_process


def content(folder: Path) -> dict[str, bytes]:
    """Returns all files without those that hold clock times (TensorBoard) or a commit (config)."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "config.json")
    files = (path for path in files if path.parent.name != "tensorboard")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def uninterrupted(start, images, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = start(arguments(images, out))
    process.join()
    assert process.exitcode == 0
    return content(out)


def steps_written(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_while_running(process: BaseProcess, out: Path, steps: int, seconds: float) -> bool:
    """Kills a run seconds after it has written further steps; returns whether it was running."""
    first = None
    while process.exitcode is None:
        now = steps_written(out)
        # A resumed run truncates its metrics to the checkpoint; count from there.
        first = now if first is None or now < first else first
        if now >= first + steps:
            process.join(seconds)
            break
        time.sleep(0.001)

    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_kills_at_random_moments_change_no_byte(start, images, tmp_path, uninterrupted):
    """60 steps have room for about eight kills; scripts/kill_training.py makes twenty."""
    draw, out, hits = random.Random(0), tmp_path / "run", 0
    while hits < 8:
        process = start(arguments(images, out, "--resume"))
        if not kill_while_running(process, out, draw.randint(1, 6), draw.uniform(0.0, 0.01)):
            assert process.exitcode == 0
            break
        hits += 1

    assert hits >= 4
    process = start(arguments(images, out, "--resume"))
    process.join()
    assert process.exitcode == 0
    ours = content(out)
    assert ours.keys() == uninterrupted.keys()
    for name, data in uninterrupted.items():
        assert ours[name] == data, name


def test_a_full_disk_leaves_the_last_checkpoint(start, images, tmp_path, uninterrupted):
    out = tmp_path / "run"
    process = start(arguments(images, out), renames=2)  # killed before that of step 6 is in place
    process.join()

    assert process.exitcode == -signal.SIGKILL
    checkpoint = (out / CHECKPOINT).read_bytes()
    full = start(arguments(images, out, "--resume"), most_bytes=len(checkpoint) - 1)
    full.join()
    assert full.exitcode == 2
    assert (out / CHECKPOINT).read_bytes() == checkpoint
    assert not list(out.rglob("*.part"))
    again = start(arguments(images, out, "--resume"))
    again.join()
    assert again.exitcode == 0
    assert content(out) == uninterrupted


def invoke(*options: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, options)])


@pytest.fixture
def stopped(configure, dataset, images, tmp_path) -> Path:
    """A finished run of three steps."""
    out = tmp_path / "run"
    result = invoke("--data", images, *OPTIONS, "--steps", 3, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_resuming_a_finished_run_changes_nothing(images, stopped):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 0, result.output
    assert "done after 3 of 3 steps" in result.output
    assert content(stopped) == before


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--recipe", "digits"], "recipe batch_size = 8, not 32"),
        (["--set", "batch_size=4"], "recipe batch_size = 8, not 4"),
        (["--seed", "1"], "seed = 0, not 1; resume it with the same options"),
        (["--steps", "4"], "steps = 3, not 4"),
        (["--epochs", "40"], "steps = 3, not 80"),
        (["--precision", "bf16"], "precision = fp32, not bf16"),
    ],
)
def test_a_run_is_resumed_only_with_its_own_options(images, stopped, options, what):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume", *options)
    assert result.exit_code == 2
    assert f"was started with {what}" in result.stderr
    assert content(stopped) == before


def test_other_images_are_refused(stopped):
    result = invoke("--data", "digits", "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "was started with the images of images" in result.stderr
    assert "not scikit-learn digits (1797 of 10 x 10, digest " in result.stderr


def test_the_same_images_in_another_folder_are_accepted(images, stopped, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    result = invoke("--data", tmp_path / "moved", "--out", stopped, "--resume")
    assert result.exit_code == 0, result.output


def test_without_resume_an_existing_run_is_refused(images, stopped):
    result = invoke("--data", images, "--out", stopped)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_resume_without_a_run_starts_one(images, tmp_path):
    result = invoke("--data", images, *OPTIONS, "--steps", 2, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.output
    assert "done after 2 of 2" in result.output


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_changed(images, stopped, damage):
    path = stopped / CHECKPOINT
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-5] ^= 64
    path.write_bytes(
        {"cut": data[:-1], "flip": data, "empty": b"", "text": b"\x80\x04import os"}[damage]
    )
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert "checkpoint.safetensors is damaged" in result.stderr
    assert content(stopped) == before


def test_metrics_that_lack_steps_are_refused(images, stopped):
    path = stopped / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl lacks some of the first 3 steps" in result.stderr


@pytest.mark.parametrize("damage", ["text", "order", "bytes", "list"])
def test_damaged_metrics_are_refused(images, stopped, damage):
    path = stopped / "metrics.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    damaged = {"text": b"{\n", "order": third, "bytes": b"\xff\n", "list": b"[2]\n"}[damage]
    path.write_bytes(first + damaged + (second if damage == "order" else third))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl is damaged: its line 2 is not step 2" in result.stderr


def test_the_metrics_reach_the_disk_before_their_checkpoint(
    configure, dataset, tmp_path, monkeypatch
):
    config, folder = configure(steps=2), RunFolder(tmp_path / "run")
    folder.create(config)
    synced, fsync = [], os.fsync

    def watch(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        name = re.sub(r"\.[0-9a-f]{16}\.part$", ".part", path.name)
        lines = folder.path / "metrics.jsonl"
        synced.append((name, len(lines.read_bytes().splitlines()) if lines.exists() else 0))

    monkeypatch.setattr(os, "fsync", watch)
    train(Trainer(config, dataset), folder, Progress(2), StopSignal(), CheckpointSchedule(steps=1))
    for step in (1, 2):
        place = synced.index((f".{CHECKPOINT}.part", step))
        assert synced[place - 1] == ("metrics.jsonl", step)


@pytest.mark.parametrize(
    ("kept", "cure"),
    [
        (["good.safetensors"], "copy good.safetensors to that name"),
        (["generator.safetensors"], "restore it, or choose another --out"),
        (["metrics.jsonl"], "restore it, or choose another --out"),
    ],
)
def test_a_run_that_has_lost_its_checkpoint_does_not_start_over(images, stopped, kept, cure):
    for path in stopped.iterdir():
        if path.is_file() and path.name not in ["config.json", *kept]:
            path.unlink()
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert (
        f"checkpoint.safetensors is missing although the run has started; {cure}" in result.stderr
    )
    assert {name: data for name, data in content(stopped).items() if name != ".lock"} == {
        name: data for name, data in before.items() if name != ".lock"
    }


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_over(
    start, images, tmp_path, uninterrupted
):
    out = tmp_path / "run"
    process = start(arguments(images, out), renames=0)
    process.join()

    assert process.exitcode == -signal.SIGKILL
    assert not (out / CHECKPOINT).exists()
    again = start(arguments(images, out, "--resume"))
    again.join()
    assert again.exitcode == 0
    assert content(out) == uninterrupted


def test_the_good_checkpoint_can_replace_a_damaged_one(images, stopped):
    path = stopped / CHECKPOINT
    whole = path.read_bytes()
    with path.open("r+b") as file:  # in place: a second name of the same file would be damaged, too
        file.seek(-5, os.SEEK_END)
        file.write(b"\xff\x00\xff")
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert (
        "good.safetensors beside it is intact: copy it to checkpoint.safetensors and resume"
        in result.stderr
    )
    path.write_bytes((stopped / GOOD).read_bytes())
    assert path.read_bytes() == whole
    assert invoke("--data", images, "--out", stopped, "--resume").exit_code == 0


def test_a_second_process_is_refused(start, images, tmp_path):
    out = tmp_path / "run"
    first = start(arguments(images, out, "--steps", "100000"))
    try:
        while not steps_written(out):
            assert first.is_alive()
            time.sleep(0.01)
        second = invoke(*arguments(images, out, "--steps", "100000"), "--resume")
    finally:
        first.kill()
        first.join()

    assert second.exit_code == 2
    assert (
        f"another process is training in {out}; wait until it ends or choose another --out"
        in second.stderr
    )
