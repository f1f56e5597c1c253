"""TensorBoard events of a run."""

import io
import json
import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.step_metrics import STEP_METRICS
from dcgan.training.monitor.tensorboard import TensorBoardWriter
from dcgan.training.run_folder import RunFolder


@pytest.mark.slow
def test_events_have_the_curves_and_the_grids_of_the_run(tmp_path, configure, dataset):
    config, folder = configure(steps=12, epochs=4), RunFolder(tmp_path / "run")
    folder.create(config)
    train(Trainer(config, dataset), folder, Progress(12), StopSignal(), CheckpointSchedule())
    writer = EventAccumulator(str(folder.path / "tensorboard"))
    writer.Reload()
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    for name in STEP_METRICS:
        found = {event.step: event.value for event in writer.Scalars(name)}
        assert found.keys() == {
            3,
            6,
            9,
            12,
        }  # one for each time that the history is written, here after each epoch
        assert abs(found[9] - rows[8][name]) < 1e-5
    images = {
        name: [event.step for event in writer.Images(name)] for name in writer.Tags()["images"]
    }

    assert images == {"real": [0], "step": [4, 8, 12], "epoch": [3, 6, 9, 12]}
    assert writer.Images("step")[0].width == 8 * 32


def fill_up(folder: Path) -> None:
    said: list[str] = []
    writer = TensorBoardWriter(folder, 0, said.append)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # as a full disk
    line = dict.fromkeys(STEP_METRICS, 0.5)
    for step in range(1, 20):
        writer.write_scalars(line | {"step": step})
        writer.write_grid("step", np.zeros((256, 256, 3), dtype=np.uint8), step)
    assert said == [
        f"cannot write {folder}/tensorboard: File too large; training continues without TensorBoard"
    ]


def test_a_full_disk_ends_the_events_and_not_the_run(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=fill_up, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size <= 1000


@pytest.mark.slow
def test_a_folder_that_cannot_be_created_does_not_end_the_run(tmp_path, configure, dataset):
    config, folder = configure(steps=2), RunFolder(tmp_path / "run")
    folder.create(config)
    (folder.path / "tensorboard").write_text("in the way")
    out = io.StringIO()
    train(
        Trainer(config, dataset), folder, Progress(2, out=out), StopSignal(), CheckpointSchedule()
    )
    assert out.getvalue().count("training continues without TensorBoard") == 1
    assert (folder.path / "generator.safetensors").exists()


def test_a_resumed_run_replaces_the_events_of_the_same_steps(tmp_path):
    for first, value in ((0, 0.25), (2, 0.75)):
        writer = TensorBoardWriter(tmp_path, first, pytest.fail)
        for step in range(first + 1, 5):
            writer.write_scalars(dict.fromkeys(STEP_METRICS, value) | {"step": step})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss_D")] == [
        (1, 0.25), (2, 0.25), (3, 0.75), (4, 0.75),
    ]  # fmt: skip
