"""A run that is killed and resumed ends bit for bit as one that was never stopped."""

import json
import multiprocessing
import os
import random
import resource
import signal
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from dcgan.training.checkpoint import CHECKPOINT, Cadence, encode, restore
from dcgan.training.cli import main
from dcgan.training.errors import TrainingError
from dcgan.training.history import History
from dcgan.training.loop import train
from dcgan.training.progress import Progress
from dcgan.training.run import RunFolder
from dcgan.training.step import MEASURES, make_players
from dcgan.training.stop import Stop
from dcgan.training.trainer import Trainer

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
FORKS.set_forkserver_preload(["dcgan.training.loop", "dcgan.training.wishes", "PIL.PngImagePlugin"])


def work(arguments: list[str], most_bytes: int | None = None, renames: int | None = None) -> None:
    """Trains; with files of so many bytes at most, or killed after putting so many checkpoints in place."""
    torch.set_num_threads(1)
    if renames is not None:
        left = iter(range(renames))

        def watch(event: str, details: tuple[object, ...]) -> None:
            if event == "os.rename" and str(details[1]).endswith(CHECKPOINT) and next(left, None) is None:
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


def test_twenty_kills_at_random_moments_leave_no_trace(images, tmp_path, unbroken):
    moments = random.Random(0)
    out = tmp_path / "run"
    process = start(arguments(images, out), renames=1)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    for _ in range(19):
        process = start(arguments(images, out, "--resume"))
        process.join(moments.uniform(0.05, 0.6))
        if process.exitcode is not None:
            assert process.exitcode == 0
            break  # it has reached its end
        process.kill()
        process.join()
    process = start(arguments(images, out, "--resume"))
    process.join()
    assert process.exitcode == 0
    ours = {name: data for name, data in content(out).items() if not name.endswith(".part")}
    assert ours.keys() == unbroken.keys()
    for name, data in unbroken.items():
        assert ours[name] == data, name


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(images, tmp_path, unbroken):
    out = tmp_path / "run"
    process = start(arguments(images, out), renames=1)  # killed before its second checkpoint is in place
    process.join()
    assert process.exitcode == -signal.SIGKILL
    checkpoint = (out / CHECKPOINT).read_bytes()
    full = start(arguments(images, out, "--resume"), most_bytes=len(checkpoint) - 1)
    full.join()
    assert full.exitcode == 2
    assert (out / CHECKPOINT).read_bytes() == checkpoint
    assert not (out / f".{CHECKPOINT}.part").exists()
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
        (["--recipe", "digits"], "recipe"),
        (["--set", "batch_size=4"], "recipe"),
        (["--seed", "1"], "seed"),
        (["--steps", "4"], "steps"),
        (["--epochs", "40"], "steps"),
        (["--precision", "bf16"], "precision"),
    ],
)
def test_a_run_goes_on_only_as_it_began(images, stopped, options, what):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume", *options)
    assert result.exit_code == 2
    assert f"was begun with another {what}" in result.stderr
    assert content(stopped) == before


def test_other_images_are_refused(stopped):
    result = invoke("--data", "digits", "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "was begun with another data" in result.stderr


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
    path.write_bytes({"cut": data[:-1], "flip": data, "empty": b"", "text": b"\x80\x04import os"}[damage])
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


def test_a_history_without_diversity_of_an_older_release_goes_on(configure, dataset, tmp_path):
    config, folder = configure(steps=8), RunFolder(tmp_path / "run")
    folder.create(config)
    trainer = Trainer(config, dataset)
    for _ in range(2):
        trainer.advance()
    folder.write(CHECKPOINT, trainer.checkpoint())
    old = [{"step": i, "epoch": 1, "images": 8 * i} | dict.fromkeys(MEASURES[:5], 0.5) for i in (1, 2)]
    folder.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in old).encode())
    train(trainer, folder, Progress(8), Stop(), Cadence())
    assert len((folder.path / "metrics.jsonl").read_text().splitlines()) == 8


def test_a_damaged_history_is_refused(images, stopped):
    path = stopped / "metrics.jsonl"
    path.write_text("".join([*path.read_text().splitlines(keepends=True)[:2], "{\n"]))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl is damaged" in result.stderr


def test_a_history_keeps_the_steps_of_the_checkpoint_only(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("1\n2\n3\n4")
    History(path, torch.device("cpu"), 2, lambda _: None)
    assert path.read_text() == "1\n2\n"
    with pytest.raises(TrainingError, match="lacks some of the first 3 steps"):
        History(path, torch.device("cpu"), 3, lambda _: None)


def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(configure, dataset, small, tmp_path):
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
