"""The loop as a whole, the average, and what is shown."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan.core import noise
from dcgan.core.images import decode_png, untile
from dcgan.training.config import Adam
from dcgan.training.engine.checkpoint import Cadence
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import Stop
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.models.ema import Average
from dcgan.training.models.networks import Generator
from dcgan.training.monitor.metrics_log import History
from dcgan.training.monitor.progress import Progress, memory_gib
from dcgan.training.monitor.samples import draw_grid, fixed_latents
from dcgan.training.run_folder import RunFolder, read_run

pytestmark = pytest.mark.numerical


def run(configure, dataset, path, **changes):
    config = configure(**changes)
    folder = RunFolder(path)
    folder.create(config)
    train(Trainer(config, dataset), folder, Progress(config.steps), Stop(), Cadence())
    return path


def test_two_runs_with_one_seed_are_equal_to_the_byte(tmp_path, configure, dataset):
    recipe = {"average_images": 50, "augment": ("colour",), "flip": True, "decay_from": 0.5}
    a, b = (run(configure, dataset, tmp_path / name, **recipe) for name in "ab")
    names = sorted(path.relative_to(a) for path in a.rglob("*") if path.is_file())
    for name in names:
        if name.parts[0] == "tensorboard":
            continue  # it holds clock times
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_the_last_grid_is_what_the_exported_generator_makes(tmp_path, configure, dataset):
    for average_images in (0, 50):
        path = run(
            configure, dataset, tmp_path / str(average_images), average_images=average_images
        )
        z = torch.from_numpy(noise.latents(0, 0, 64, 6))
        png = (path / "samples" / "epoch-0002.png").read_bytes()
        with torch.no_grad():
            images = (read_run(path).generator(z).permute(0, 2, 3, 1).numpy() + 1) * 127.5
        assert np.abs(untile(decode_png(png), 64, 8).astype(float) - images).max() < 1.01


def test_a_run_with_classes_remembers_them(tmp_path, configure, dataset, small):
    networks = {
        name: replace(getattr(small, name), classes=2) for name in ("generator", "discriminator")
    }
    path = run(configure, dataset, tmp_path / "run", average_images=50, **networks)
    read = read_run(path)
    assert read.class_names == ("cats", "dogs")
    z = torch.from_numpy(noise.latents(0, 0, 64, 6))
    with torch.no_grad():
        images = (read.generator(z, torch.arange(64) % 2).permute(0, 2, 3, 1).numpy() + 1) * 127.5
    png = (path / "samples" / "epoch-0002.png").read_bytes()
    assert np.abs(untile(decode_png(png), 64, 8).astype(float) - images).max() < 1.01


def test_a_wish_to_stop_ends_the_run_after_a_step_with_all_files(tmp_path, configure, dataset):
    config = configure(steps=1000)
    folder, stop = RunFolder(tmp_path / "run"), Stop()
    folder.create(config)
    trainer = Trainer(config, dataset)

    class StopAtOnce(Progress):
        def show(self, *args):
            stop.asked = True

    train(trainer, folder, StopAtOnce(config.steps), stop, Cadence())
    assert trainer.step == 1
    assert read_run(folder.path).training.images_seen == 8


def test_rates_fall_as_the_recipe_says(configure, dataset):
    trainer = Trainer(configure(steps=4, decay_from=0.0), dataset)
    rates = []
    for _ in range(4):
        trainer.advance()
        rates.append(trainer.players.generator_adam.param_groups[0]["lr"] / 2e-4)
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_the_average_lags_behind_the_weights_and_reaches_them(small):
    torch.manual_seed(0)
    recipe = replace(small, average_images=80)
    start, target = Generator(small.generator), Generator(small.generator)
    average = Average(start, recipe, 0)
    average.follow(target, images_seen=10_000)  # a tenth of the half-life
    expected = start.head.weight + (target.head.weight - start.head.weight) * (1 - 0.5**0.1)
    assert torch.allclose(average.generator.head.weight, expected)
    early = Average(start, recipe, 0)
    early.follow(target, images_seen=8)  # early on it follows faster
    assert torch.allclose(early.generator.head.weight, target.head.weight, atol=0.01)


def test_statistics_of_the_average_are_its_own(small):
    torch.manual_seed(0)
    average = Average(Generator(small.generator), small, 0)
    average.estimate_statistics()
    assert not average.generator.training
    first = {name: value.clone() for name, value in average.generator.state_dict().items()}
    with torch.no_grad():
        wide = average.generator.hidden[0].conv(
            torch.randn(4096, small.generator.latent_size)[:, :, None, None]
        )
    assert torch.allclose(first["hidden.0.norm.running_mean"], wide.mean(dim=(0, 2, 3)), atol=0.05)
    assert torch.allclose(first["hidden.0.norm.running_var"], wide.var(dim=(0, 2, 3)), rtol=0.2)
    average.estimate_statistics()
    assert all(
        torch.equal(first[name], value) for name, value in average.generator.state_dict().items()
    )


def test_a_grid_shows_the_images_that_a_server_would_make_of_the_seed(small):
    torch.manual_seed(0)
    generator = Generator(small.generator).eval()
    z = fixed_latents(9, 6)
    assert torch.equal(z, torch.from_numpy(noise.latents(9, 0, 64, 6)))
    assert draw_grid(generator, z).shape == (8 * 32, 8 * 32, 3)


def test_grey_models_have_grey_grids(small):
    generator = Generator(replace(small.generator, channels=1)).eval()
    assert draw_grid(generator, fixed_latents(0, 6)).shape == (256, 256, 1)


def test_history_is_written_in_order_and_in_lumps(tmp_path):
    heard = []
    history = History(tmp_path / "metrics.jsonl", torch.device("cpu"), 0, heard.append)
    for step in range(1, 13):
        history.add(torch.full((6,), float(step)), step=step, epoch=1, images=step)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 10
    assert history.latest["loss_D"] == 10.0
    history.flush()
    history.flush()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert (
        [line["step"] for line in lines] == [line["loss_G"] for line in lines] == list(range(1, 13))
    )
    assert heard == [lines[:10], lines[10:]]


def test_a_history_that_cannot_be_written_says_so(tmp_path):
    history = History(tmp_path / "metrics.jsonl", torch.device("cpu"), 0, lambda _: None)
    history.add(torch.zeros(6), step=1, epoch=1, images=1)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"cannot write .*metrics.jsonl: Is a directory"):
        history.flush()


def test_the_memory_is_that_of_the_device_that_computes():
    assert memory_gib("cpu") > 0.05  # that of a GPU would be 0 here, where nothing lies on one


def test_progress_in_a_log_is_plain_lines():
    out = io.StringIO()
    progress = Progress(3, out=out)
    for step in range(1, 4):
        progress.show(step, step * 8, {"loss_D": 0.5})
    progress.close()
    assert "step 3/3" in out.getvalue()
    assert "images/s" in out.getvalue()
    assert "loss_D 0.500" in out.getvalue()
    assert re.search(r" [0-9.]+ GiB left 0 s", out.getvalue())
    assert "\r" not in out.getvalue()


def test_progress_begins_anew_where_a_run_goes_back():
    out = io.StringIO()
    progress = Progress(1000, first_step=900, out=out)
    for step in (901, 902, 11, 12, 1000):
        progress.show(step, step * 8, {})
    (line,) = out.getvalue().splitlines()
    assert float(re.search(r"([\d,.-]+) images/s", line)[1].replace(",", "")) > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_and_is_not_written(tmp_path, value):
    history = History(tmp_path / "metrics.jsonl", torch.device("cpu"), 0, lambda _: None)
    for step in range(1, 5):
        history.add(torch.full((6,), value if step == 3 else 0.5), step=step, epoch=1, images=step)
    with pytest.raises(TrainingError, match="no longer a number at step 3"):
        history.flush()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_weights_that_are_no_numbers_never_reach_a_checkpoint(tmp_path, configure, dataset):
    config = configure(steps=1)
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    trainer = Trainer(config, dataset)
    trainer.advance()
    with torch.no_grad():
        trainer.players.generator.head.weight[0] = float("nan")
    trainer.step = 0
    with pytest.raises(TrainingError, match=r"no longer .*; the last checkpoint is good"):
        train(trainer, folder, Progress(1), Stop(), Cadence())
    assert not (folder.path / "checkpoint.safetensors").exists()


def test_the_film_and_the_curves_can_be_opened(tmp_path, configure, dataset):
    path = run(configure, dataset, tmp_path / "run", sample_steps=2, generator_adam=Adam(rate=0.05))
    with Image.open(path / "film.webp") as film:
        assert (film.n_frames, film.size) == (3, (256, 256))
    with Image.open(path / "history.png") as curves:
        assert curves.size == (800, 800)
