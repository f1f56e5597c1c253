"""Which files the recorder writes, and when."""

import io
import json
from contextlib import closing
from pathlib import Path

import pytest
import torch

from dcgan.training import host_copy
from dcgan.training.engine import recorder as recorder_module
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.recorder import RunRecorder
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder


@pytest.fixture
def trainer(configure, dataset) -> Trainer:
    """A run with grids after every 2 steps and epochs of 3 steps."""
    return Trainer(configure(steps=6, sample_steps=2, keep_epochs=2), dataset)


@pytest.fixture
def recorder(trainer, tmp_path) -> RunRecorder:
    folder = RunFolder(tmp_path / "run")
    folder.create(trainer.config)
    return RunRecorder(trainer, folder, Progress(6, out=io.StringIO()))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run"


def test_a_new_run_begins_with_a_checkpoint_and_a_grid_of_real_images(recorder, path):
    recorder.start(healthy=True)
    assert (path / "samples" / "real.png").exists()
    assert (path / GOOD).read_bytes() == (path / CHECKPOINT).read_bytes()


def test_a_good_checkpoint_is_kept_when_the_run_is_no_longer_healthy(recorder, trainer, path):
    recorder.start(healthy=True)
    good = (path / GOOD).read_bytes()
    recorder.record_step(trainer.train_step())
    recorder.flush_metrics()
    recorder.save_checkpoint(healthy=False)
    assert (path / GOOD).read_bytes() == good != (path / CHECKPOINT).read_bytes()


def test_grids_and_weights_are_written_when_they_are_due(recorder, trainer, path):
    written = []
    before: set[str] = set()
    for _ in range(6):
        recorder.record_step(trainer.train_step())
        recorder.save_samples_and_weights()
        after = {file.relative_to(path).as_posix() for file in path.rglob("*.png")}
        after |= {file.relative_to(path).as_posix() for file in path.glob("epochs/*/*")}
        written.append(sorted(after - before))
        before = after

    assert written == [
        [],
        ["samples/step-000002.png"],
        ["samples/epoch-0001.png"],
        ["samples/step-000004.png"],
        [],
        [
            "epochs/0002/discriminator.safetensors",
            "epochs/0002/generator.safetensors",
            "samples/epoch-0002.png",
            "samples/step-000006.png",
        ],
    ]


@pytest.mark.parametrize("stop_after", [9, 3, 4, 6])
def test_on_a_gpu_files_of_short_epochs_are_left_out_in_a_resumed_run_the_same(
    configure, dataset, tmp_path, monkeypatch, stop_after
):
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    monkeypatch.setattr(recorder_module, "_EPOCH_FILES_STEPS", 5)
    trainer = Trainer(configure(steps=9, keep_epochs=1), dataset)
    folder = RunFolder(tmp_path / "run")
    folder.create(trainer.config)

    for steps in (stop_after, 9 - stop_after):
        progress = Progress(9, out=io.StringIO())
        with closing(RunRecorder(trainer, folder, progress)) as recorder:
            for _ in range(steps):
                recorder.record_step(trainer.train_step())
                recorder.save_samples_and_weights()
            recorder.flush_metrics()

    grids = sorted(file.name for file in (folder.path / "samples").glob("epoch-*"))
    assert grids == ["epoch-0002.png"]  # step 6 of 9; epochs have 3 steps
    kept = sorted(file.parent.name for file in folder.path.glob("epochs/*/generator.safetensors"))
    assert kept == ["0001", "0002", "0003"]  # as the recipe asks


def test_the_last_step_is_written_without_a_flush(recorder, trainer, path):
    rows = [recorder.record_step(trainer.train_step()) for _ in range(6)]
    assert rows[:5] == [[]] * 5
    assert [row["step"] for row in rows[5]] == list(range(1, 7))
    lines = (path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows[5]


def test_nothing_that_is_not_finite_reaches_the_metrics(recorder, trainer, path):
    trainer.train_step()
    recorder.record_step(torch.full((6,), float("nan")))
    (row,) = recorder.flush_metrics()
    assert row["step"] == 1
    assert (path / "metrics.jsonl").read_text() == ""
