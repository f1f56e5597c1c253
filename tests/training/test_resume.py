"""A run that is killed and resumed ends bit for bit as one that was never stopped."""

import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from dcgan.training.cli import main
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD, Cadence, encode, restore
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import Stop
from dcgan.training.engine.step import make_players
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.metrics_log import History
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder

OPTIONS = [
    "--recipe", "digits",
    "--set", "generator.width=4", "--set", "discriminator.width=4", "--set", "discriminator.norm=spectral",
    "--set", "batch_size=8", "--set", "average_images=50", "--set", "decay_from=0.5", "--set", "flip=true",
    "--set", "augment=['colour','translation','cutout']", "--set", "sample_steps=10", "--set", "keep_epochs=2",
    "--checkpoint-steps", "3",
]  # fmt: skip
STEPS = 60

# Processes that begin with the libraries loaded, so that a run starts in a moment and can be killed in its midst.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["dcgan.training.engine.loop", "dcgan.training.options", "PIL.PngImagePlugin"]
)


def work(arguments: list[str], most_bytes: int | None = None, renames: int | None = None) -> None:
    """Trains; with files of so many bytes at most, or killed after putting so many checkpoints in place."""
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
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    main(arguments)


def arguments(images: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(images), *OPTIONS, "--steps", str(STEPS), "--out", str(out), *more]


def start(arguments: list[str], **options: int) -> multiprocessing.process.BaseProcess:
    process = FORKS.Process(target=work, args=(arguments,), kwargs=options)
    process.start()
    return process


def content(folder: Path) -> dict[str, bytes]:
    """Every file but those of TensorBoard, which hold clock times, and the configuration, which names a commit."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "config.json")
    files = (path for path in files if path.parent.name != "tensorboard")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def unbroken(images, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    process = start(arguments(images, out))
    process.join()
    assert process.exitcode == 0
    return content(out)


def steps_written(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_in_its_midst(
    process: multiprocessing.process.BaseProcess, out: Path, steps: int, seconds: float
) -> bool:
    """Kills a run some seconds after it has written some further steps; whether it was still running then."""
    first = None
    while process.exitcode is None:
        now = steps_written(out)
        # A run that resumes cuts its history back to its checkpoint; it counts from there.
        first = now if first is None or now < first else first
        if now >= first + steps:
            process.join(seconds)
            break
        time.sleep(0.001)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_kills_at_random_moments_leave_no_trace(images, tmp_path, unbroken):
    """60 steps have room for about eight kills that hit a running training; scripts/kill_training.py makes twenty."""
    draw, out, hits = random.Random(0), tmp_path / "run", 0
    while hits < 8:
        process = start(arguments(images, out, "--resume"))
        if not kill_in_its_midst(process, out, draw.randint(1, 6), draw.uniform(0.0, 0.01)):
            assert process.exitcode == 0
            break
        hits += 1
    assert hits >= 4
    process = start(arguments(images, out, "--resume"))
    process.join()
    assert process.exitcode == 0
    ours = content(out)
    assert ours.keys() == unbroken.keys()
    for name, data in unbroken.items():
        assert ours[name] == data, name


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(images, tmp_path, unbroken):
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
    assert content(out) == unbroken


def invoke(*options: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, options)])


@pytest.fixture
def stopped(configure, dataset, images, tmp_path) -> Path:
    """A finished run of three steps."""
    out = tmp_path / "run"
    result = invoke("--data", images, *OPTIONS, "--steps", 3, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_finished_run_is_left_as_it_is(images, stopped):
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
        (["--seed", "1"], "seed = 0, not 1; resume it with what it was begun with"),
        (["--steps", "4"], "steps = 3, not 4"),
        (["--epochs", "40"], "steps = 3, not 80"),
        (["--precision", "bf16"], "precision = fp32, not bf16"),
    ],
)
def test_a_run_goes_on_only_as_it_began(images, stopped, options, what):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume", *options)
    assert result.exit_code == 2
    assert f"was begun with {what}" in result.stderr
    assert content(stopped) == before


def test_other_images_are_refused(stopped):
    result = invoke("--data", "digits", "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "was begun with the images of images" in result.stderr
    assert "not scikit-learn digits (1797 of 10 x 10, digest " in result.stderr


def test_the_same_images_in_another_place_go_on(images, stopped, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    result = invoke("--data", tmp_path / "moved", "--out", stopped, "--resume")
    assert result.exit_code == 0, result.output


def test_without_resume_the_folder_is_taken(images, stopped):
    result = invoke("--data", images, "--out", stopped)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_resume_where_nothing_is_begins_a_run(images, tmp_path):
    result = invoke("--data", images, *OPTIONS, "--steps", 2, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.output
    assert "done after 2 of 2" in result.output


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_lost(images, stopped, damage):
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


def test_a_history_that_lacks_steps_is_refused(images, stopped):
    path = stopped / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl lacks some of the first 3 steps" in result.stderr


@pytest.mark.parametrize("damage", ["text", "order", "bytes", "list"])
def test_a_damaged_history_is_refused(images, stopped, damage):
    path = stopped / "metrics.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    damaged = {"text": b"{\n", "order": third, "bytes": b"\xff\n", "list": b"[2]\n"}[damage]
    path.write_bytes(first + damaged + (second if damage == "order" else third))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl is damaged: its line 2 is not step 2" in result.stderr


def test_the_disk_has_the_lines_of_a_checkpoint_before_the_checkpoint(
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
    train(Trainer(config, dataset), folder, Progress(2), Stop(), Cadence(steps=1))
    for step in (1, 2):
        place = synced.index((f".{CHECKPOINT}.part", step))
        assert synced[place - 1] == ("metrics.jsonl", step)


@pytest.mark.parametrize(
    ("kept", "cure"),
    [
        (["good.safetensors"], "copy good.safetensors to that name"),
        (["generator.safetensors"], "put it back, or choose another --out"),
        (["metrics.jsonl"], "put it back, or choose another --out"),
    ],
)
def test_a_run_that_has_lost_its_checkpoint_does_not_begin_anew(images, stopped, kept, cure):
    for path in stopped.iterdir():
        if path.is_file() and path.name not in ["config.json", *kept]:
            path.unlink()
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert f"checkpoint.safetensors is missing though the run has begun; {cure}" in result.stderr
    assert {name: data for name, data in content(stopped).items() if name != ".lock"} == {
        name: data for name, data in before.items() if name != ".lock"
    }


def test_a_run_that_was_killed_before_it_began_begins(images, tmp_path, unbroken):
    out = tmp_path / "run"
    process = start(arguments(images, out), renames=0)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (out / CHECKPOINT).exists()
    again = start(arguments(images, out, "--resume"))
    again.join()
    assert again.exitcode == 0
    assert content(out) == unbroken


def test_the_good_checkpoint_takes_the_place_of_one_that_is_damaged(images, stopped):
    path = stopped / CHECKPOINT
    whole = path.read_bytes()
    with path.open("r+b") as file:  # in place: a second name of the same file would be damaged, too
        file.seek(-5, os.SEEK_END)
        file.write(b"\xff\x00\xff")
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert (
        "good.safetensors beside it is whole: copy it to checkpoint.safetensors and resume"
        in result.stderr
    )
    path.write_bytes((stopped / GOOD).read_bytes())
    assert path.read_bytes() == whole
    assert invoke("--data", images, "--out", stopped, "--resume").exit_code == 0


def test_a_second_process_is_kept_out_of_the_run(images, tmp_path):
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
        f"another process is training in {out}; wait for its end or choose another --out"
        in second.stderr
    )


def test_a_history_keeps_the_steps_of_the_checkpoint_only(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"step": step, "loss_D": 0.5}) + "\n" for step in range(1, 5)]
    path.write_text("".join(rows).rstrip())
    History(path, torch.device("cpu"), 2, lambda _: None)
    assert path.read_text() == "".join(rows[:2])
    with pytest.raises(TrainingError, match="lacks some of the first 3 steps"):
        History(path, torch.device("cpu"), 3, lambda _: None)


def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(
    configure, dataset, small, tmp_path
):
    path = tmp_path / CHECKPOINT
    trainer = Trainer(configure(average_images=50), dataset)
    trainer.advance()
    path.write_bytes(trainer.checkpoint())
    players = make_players(small, 5, torch.device("cpu"))
    before = encode(players, None, {})
    with pytest.raises(TrainingError, match="does not fit the recipe"):
        restore(path, players, None)
    assert encode(players, None, {}) == before


def test_cadence_counts_steps_and_seconds():
    cadence = Cadence(seconds=1e9, steps=4)
    assert [step for step in range(1, 10) if cadence.due(step)] == [4, 8]
    assert Cadence(seconds=0.0).due(1)
    assert not Cadence(seconds=1e9).due(1)
