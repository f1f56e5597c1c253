"""The training loop: steps, and what is kept of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from dcgan.training.alarm import Alarm
from dcgan.training.average import Average
from dcgan.training.checkpoint import CHECKPOINT, Cadence, check_finite, encode, restore
from dcgan.training.dataset import Dataset
from dcgan.training.feed import Feed
from dcgan.training.history import History
from dcgan.training.networks import Generator
from dcgan.training.plot import draw_history
from dcgan.training.progress import Progress
from dcgan.training.run import DISCRIMINATOR, FILM, GENERATOR, HISTORY, METRICS, SAMPLES, RunConfig, RunFolder
from dcgan.training.samples import GRID_IMAGES, draw_grid, film, fixed_latents, to_pixels
from dcgan.training.step import Step, make_players, set_rates
from dcgan.zoo.picture import encode_png, tile


class Trainer:
    """Everything that changes while a run goes on.

    Attributes:
        step: steps done.
    """

    def __init__(self, config: RunConfig, dataset: Dataset) -> None:
        device = torch.device(config.device)
        self.config = config
        self.step = 0
        self.feed = Feed(dataset, config.recipe, config.seed, device)
        self.players = make_players(config.recipe, config.seed, device)
        averaged = config.recipe.average_images > 0
        self.average = Average(self.players.generator, config.recipe, config.seed) if averaged else None
        self._step = Step(config.recipe, self.players, config.precision)

    def advance(self) -> torch.Tensor:
        """Takes one step and returns its measures, on the device."""
        recipe = self.config.recipe
        if recipe.decay_from < 1:
            set_rates(self.players, recipe, recipe.rate_factor(self.step, self.config.steps))
        measures = self._step(self.feed.batch(self.step))
        self.step += 1
        if self.average:
            self.average.follow(self.players.generator, self.images_seen)
        return measures

    def resume(self, folder: RunFolder) -> None:
        """Goes on from the checkpoint of a run folder, if there is one yet.

        Raises:
            TrainingError: if it is damaged or of another recipe.
        """
        path = folder.path / CHECKPOINT
        if path.exists():
            self.step = restore(path, self.players, self.average)

    @property
    def images_seen(self) -> int:
        """Real images shown so far, repeats counted."""
        return self.feed.images_seen(self.step)

    @contextmanager
    def released(self) -> Iterator[Generator]:
        """Lends the generator that would be exported now, in eval mode."""
        if self.average:
            self.average.estimate_statistics()
            yield self.average.generator
        else:
            yield self.players.generator.eval()
            self.players.generator.train()


class Stop:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop after the step; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listens while the block runs."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._ask) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self.asked = True
        signal.signal(number, signal.SIG_DFL)


def train(
    trainer: Trainer,
    folder: RunFolder,
    progress: Progress,
    stop: Stop,
    cadence: Cadence,
    *,
    stop_on_collapse: bool = False,
) -> None:
    """Runs to the last step, or to a wish to stop; either way everything is saved.

    Raises:
        TrainingError: if a loss is no longer a number, or the disk refuses; the last checkpoint is good then.
    """
    config, recipe, alarm = trainer.config, trainer.config.recipe, Alarm()

    def warn(losses: list[float]) -> None:
        fault = alarm.hear(losses)
        if fault is not None:
            progress.tell(f"step {trainer.step}: {fault}")
            stop.asked = stop.asked or stop_on_collapse

    history = History(folder.path / METRICS, torch.device(config.device), trainer.step, warn)
    z = fixed_latents(config.seed, recipe.generator.latent_size)
    per_epoch = trainer.feed.steps_per_epoch
    folder.write_sample("real", encode_png(tile(to_pixels(trainer.feed.first_images(GRID_IMAGES)))))
    while trainer.step < config.steps and not stop.asked:
        measures = trainer.advance()
        step, epoch = trainer.step, (trainer.step - 1) // per_epoch + 1
        history.add(measures, step=step, epoch=epoch, images=trainer.images_seen)
        if step == config.steps:
            history.flush()  # so that the last line shows the last step
        progress.show(step, trainer.images_seen, history.latest)
        if step % recipe.sample_steps == 0:
            write_grid(trainer, folder, z, f"step-{step:06d}")
        if step % per_epoch == 0:
            write_grid(trainer, folder, z, f"epoch-{epoch:04d}")
            save_weights(trainer, folder)
            if recipe.keep_epochs and epoch % recipe.keep_epochs == 0:
                save_weights(trainer, folder, f"epochs/{epoch:04d}/")
        if cadence.due(step):
            save_checkpoint(trainer, folder, history)
    save_checkpoint(trainer, folder, history)
    save_weights(trainer, folder)
    draw_pictures(trainer, folder)


def write_grid(trainer: Trainer, folder: RunFolder, z: torch.Tensor, name: str) -> None:
    """Writes a grid of what the generator makes of the fixed latent vectors now."""
    with trainer.released() as generator:
        folder.write_sample(name, draw_grid(generator, z))


def draw_pictures(trainer: Trainer, folder: RunFolder) -> None:
    """Draws the history of the run and the film of its grids."""
    if trainer.step > 0:
        folder.write(HISTORY, draw_history(folder.path / METRICS))
    grids = sorted((folder.path / SAMPLES).glob("step-*.png"))
    if grids:
        folder.write(FILM, film(grids))


def save_weights(trainer: Trainer, folder: RunFolder, prefix: str = "") -> None:
    """Writes both networks."""
    step, images_seen = trainer.step, trainer.images_seen
    with trainer.released() as generator:
        folder.write_weights(prefix + GENERATOR, generator, step=step, images_seen=images_seen)
    folder.write_weights(prefix + DISCRIMINATOR, trainer.players.discriminator, step=step, images_seen=images_seen)


def save_checkpoint(trainer: Trainer, folder: RunFolder, history: History) -> None:
    """Writes what a resumed run goes on from; the history first, which must not lack a step of it."""
    history.flush()
    check_finite(trainer.players)
    folder.write(CHECKPOINT, encode(trainer.players, trainer.average, trainer.step))
