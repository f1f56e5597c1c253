"""The training loop, from the first step to the files of a finished run."""

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.core import noise
from dcgan.core.images import decode_png, untile
from dcgan.training import host_copy
from dcgan.training.config import AdamConfig
from dcgan.training.engine import recorder
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder, read_run

pytestmark = [pytest.mark.slow, pytest.mark.numerical]


def run(configure, dataset, path, **changes):
    config = configure(**changes)
    folder = RunFolder(path)
    folder.create(config)
    train(
        Trainer(config, dataset), folder, Progress(config.steps), StopSignal(), CheckpointSchedule()
    )
    return path


def test_two_runs_with_one_seed_are_equal_to_the_byte(tmp_path, configure, dataset):
    recipe = {"ema_half_life": 50, "augment": ("colour",), "flip": True, "decay_from": 0.5}
    a, b = (run(configure, dataset, tmp_path / name, **recipe) for name in "ab")
    names = sorted(path.relative_to(a) for path in a.rglob("*") if path.is_file())
    for name in names:
        if name.parts[0] == "tensorboard":
            continue  # it holds clock times
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_the_last_grid_is_what_the_exported_generator_makes(tmp_path, configure, dataset):
    for ema_half_life in (0, 50):
        path = run(configure, dataset, tmp_path / str(ema_half_life), ema_half_life=ema_half_life)
        z = torch.from_numpy(noise.latents(0, 0, 64, 6))
        png = (path / "samples" / "epoch-0002.png").read_bytes()
        with torch.no_grad():
            images = (read_run(path).generator(z).permute(0, 2, 3, 1).numpy() + 1) * 127.5
        assert np.abs(untile(decode_png(png), 64, 8).astype(float) - images).max() < 1.01


def test_a_run_with_classes_remembers_them(tmp_path, configure, dataset, small):
    networks = {
        name: replace(getattr(small, name), classes=2) for name in ("generator", "discriminator")
    }
    path = run(configure, dataset, tmp_path / "run", ema_half_life=50, **networks)
    read = read_run(path)

    assert read.class_names == ("cats", "dogs")
    z = torch.from_numpy(noise.latents(0, 0, 64, 6))
    with torch.no_grad():
        images = (read.generator(z, torch.arange(64) % 2).permute(0, 2, 3, 1).numpy() + 1) * 127.5
    png = (path / "samples" / "epoch-0002.png").read_bytes()
    assert np.abs(untile(decode_png(png), 64, 8).astype(float) - images).max() < 1.01


def test_a_request_to_stop_ends_the_run_after_the_step_with_all_files(tmp_path, configure, dataset):
    config = configure(steps=1000)
    folder, stop = RunFolder(tmp_path / "run"), StopSignal()
    folder.create(config)
    trainer = Trainer(config, dataset)

    class StopAtOnce(Progress):
        def show(self, *args):
            stop.received = signal.SIGTERM

    train(trainer, folder, StopAtOnce(config.steps), stop, CheckpointSchedule())
    assert trainer.step == 1
    assert read_run(folder.path).training.images_seen == 8


def test_weights_with_nan_never_reach_a_checkpoint(tmp_path, configure, dataset):
    config = configure(steps=1)
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    trainer = Trainer(config, dataset)
    trainer.train_step()
    with torch.no_grad():
        trainer.state.generator.head.weight[0] = float("nan")
    trainer.step = 0

    with pytest.raises(TrainingError, match=r"contain NaN or Inf; the last checkpoint is good"):
        train(trainer, folder, Progress(1), StopSignal(), CheckpointSchedule())
    assert not (folder.path / "checkpoint.safetensors").exists()


def test_the_animation_and_the_curves_can_be_opened(tmp_path, configure, dataset):
    path = run(
        configure, dataset, tmp_path / "run", sample_steps=2, generator_adam=AdamConfig(rate=0.05)
    )
    with Image.open(path / "film.webp") as animation:
        assert (animation.n_frames, animation.size) == (3, (256, 256))
    with Image.open(path / "history.png") as curves:
        assert curves.size == (800, 800)


def test_files_written_in_the_background_are_the_same(tmp_path, configure, dataset, monkeypatch):
    """As on a GPU, where grids and weights are written while the next steps are computed."""
    recipe = {"ema_half_life": 50, "sample_steps": 2, "keep_epochs": 1}
    plain = run(configure, dataset, tmp_path / "plain", **recipe)
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    monkeypatch.setattr(recorder, "_EPOCH_FILES_STEPS", 1)
    background = run(configure, dataset, tmp_path / "background", **recipe)
    names = {path.relative_to(plain) for path in plain.rglob("*") if path.is_file()}
    assert names
    assert len(names) == len([p for p in background.rglob("*") if p.is_file()])
    for name in names:
        if name.parts[0] != "tensorboard":  # whose file has a clock time in its name
            assert (plain / name).read_bytes() == (background / name).read_bytes(), name


def test_a_file_that_cannot_be_written_in_the_background_ends_the_run(
    tmp_path, configure, dataset, monkeypatch
):
    def fail(*_: object, **__: object) -> None:
        raise TrainingError("the disk is full")

    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    monkeypatch.setattr(RunFolder, "write_tensors", fail)
    with pytest.raises(TrainingError, match="the disk is full"):
        run(configure, dataset, tmp_path / "run")
