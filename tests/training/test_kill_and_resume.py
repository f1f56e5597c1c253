"""A run that is killed and resumed ends bit for bit as an uninterrupted one."""

import os
import random
import re
import resource
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import pytest
import torch

from dcgan.training.cli import main
from dcgan.training.engine.checkpoint import CHECKPOINT
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder
from tests.training.resumable_runs import OPTIONS, content, invoke

pytestmark = pytest.mark.slow

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
