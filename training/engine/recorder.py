"""What is kept of a run as it goes on: measures, grids, weights and checkpoints."""

from __future__ import annotations

import torch

from dcgan.core.images import Pixels, encode_png, tile
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD, Cadence, check_finite
from dcgan.training.engine.rewind import go_back
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import CollapseError
from dcgan.training.monitor.collapse import Alarm
from dcgan.training.monitor.curves import draw_history
from dcgan.training.monitor.metrics_log import History, Line
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.samples import GRID_IMAGES, draw_grid, film, fixed_latents, to_array
from dcgan.training.monitor.tensorboard import Board
from dcgan.training.run_folder import (
    DISCRIMINATOR,
    FILM,
    GENERATOR,
    HISTORY,
    METRICS,
    SAMPLES,
    RunFolder,
)


class Keeper:
    """Writes a run folder while the run goes on, and raises the alarm when it collapses.

    Args:
        on_collapse: "continue" (and say so), "stop" (and save) or "rollback": the alarm becomes a `CollapseError`.

    Attributes:
        has_enough: whether the run has collapsed and is to stop for it.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        progress: Progress,
        cadence: Cadence,
        on_collapse: str,
    ) -> None:
        config = trainer.config
        self._trainer = trainer
        self._folder = folder
        self._progress = progress
        self._cadence = cadence
        self._on_collapse = on_collapse
        self._alarm = Alarm()
        self._board = Board(folder.path, trainer.step, progress.tell)
        self._history = History(
            folder.path / METRICS, torch.device(config.device), trainer.step, self._hear
        )
        self._alarm.recall(self._history.kept)
        self.has_enough = False
        self._z = fixed_latents(config.seed, config.recipe.generator.latent_size)
        self._per_epoch = trainer.feed.steps_per_epoch

    def begin(self) -> None:
        """Writes the grid of real images and, if there is no checkpoint yet, the one of the beginning."""
        real = tile(to_array(self._trainer.feed.some_images(GRID_IMAGES)))
        self._folder.write_sample("real", encode_png(real))
        self._board.grid("real", real, self._trainer.step)
        if not (self._folder.path / CHECKPOINT).exists():
            self.save()  # so that a run whose checkpoint is missing has lost it
        elif self._alarm.calm:  # a kill may have come between the one and the other
            self._keep_good(self._trainer.checkpoint())

    def take(self, measures: torch.Tensor) -> None:
        """Keeps what is to be kept of the step that was just taken.

        Raises:
            CollapseError: if the run has collapsed and is not to continue.
        """
        trainer, recipe = self._trainer, self._trainer.config.recipe
        step, epoch = trainer.step, (trainer.step - 1) // self._per_epoch + 1
        self._history.add(measures, step=step, epoch=epoch, images=trainer.images_seen)
        if step == trainer.config.steps:
            self.look()  # so that the last line shows the last step
        self._progress.show(step, trainer.images_seen, self._history.latest)
        if step % recipe.sample_steps == 0:
            self._write_grid(f"step-{step:06d}")
        if step % self._per_epoch == 0:
            self.look()  # or the last generator that can be exported would be lost
            self._write_grid(f"epoch-{epoch:04d}")
            self._save_weights()
            if recipe.keep_epochs and epoch % recipe.keep_epochs == 0:
                self._save_weights(f"epochs/{epoch:04d}/")
        if self._cadence.due(step):
            self.save()

    def look(self) -> None:
        """Looks at once whether the run has collapsed.

        Raises:
            CollapseError: if it has, and is not to continue.
        """
        self._history.flush()
        check_finite(self._trainer.players)

    def save(self) -> None:
        """Writes a checkpoint; the history first, which must not lack a step of it.

        Raises:
            CollapseError: if the weights are no longer numbers; the checkpoint before stays.
        """
        self._history.flush()
        self._history.settle()
        checkpoint = self._trainer.checkpoint()
        self._folder.write(CHECKPOINT, checkpoint)
        if self._alarm.calm:
            self._keep_good(checkpoint)

    def go_back(self, collapse: CollapseError) -> None:
        """Takes the run back to its last good checkpoint."""
        sentence = go_back(self._trainer, self._folder, self._history, str(collapse))
        self._alarm = Alarm()
        self._alarm.recall(self._history.kept)
        self._board = Board(self._folder.path, self._trainer.step, self._progress.tell)
        self._progress.tell(sentence)

    def end(self) -> None:
        """Writes all that is left to write."""
        self.save()
        self._save_weights()
        if self._trainer.step > 0:
            self._folder.write(HISTORY, draw_history(self._folder.path / METRICS))
        grids = sorted((self._folder.path / SAMPLES).glob("step-*.png"))
        if grids:
            self._folder.write(FILM, film(grids))

    def _keep_good(self, checkpoint: bytes) -> None:
        """Writes a copy, not a link: damage to the one must not reach the other."""
        path = self._folder.path / GOOD
        if not path.exists() or path.read_bytes() != checkpoint:
            self._folder.write(GOOD, checkpoint)

    def _hear(self, lines: list[Line]) -> None:
        self._board.scalars(lines[-1])
        fault = self._alarm.hear(lines)
        if fault is None:
            return
        self._progress.tell(f"step {self._trainer.step}: {fault}")
        if self._on_collapse == "rollback":
            raise CollapseError(fault)
        self.has_enough = self._on_collapse == "stop"

    def _write_grid(self, name: str) -> None:
        with self._trainer.released() as generator:
            grid: Pixels = draw_grid(generator, self._z)
        self._folder.write_sample(name, encode_png(grid))
        self._board.grid(name.partition("-")[0], grid, self._trainer.step)

    def _save_weights(self, prefix: str = "") -> None:
        step, images_seen = self._trainer.step, self._trainer.images_seen
        with self._trainer.released() as generator:
            self._folder.write_weights(
                prefix + GENERATOR, generator, step=step, images_seen=images_seen
            )
        discriminator = self._trainer.players.discriminator
        self._folder.write_weights(
            prefix + DISCRIMINATOR, discriminator, step=step, images_seen=images_seen
        )
