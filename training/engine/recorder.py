"""Writing the run folder during training: metrics, sample grids, weights and checkpoints."""

from __future__ import annotations

from functools import partial

import torch

from dcgan.core.images import Pixels, encode_png, tile
from dcgan.training import host_copy
from dcgan.training.engine.background import BackgroundWriter
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.trainer import Trainer
from dcgan.training.host_copy import HostCopy
from dcgan.training.monitor.curves import draw_curves
from dcgan.training.monitor.metrics_log import MetricsLog, MetricsRow
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.quality import QUALITY, QUALITY_ERROR, EvaluationPlan
from dcgan.training.monitor.samples import (
    GRID_IMAGES,
    draw_samples,
    encode_animation,
    fixed_latents,
    step_grids,
    to_array,
)
from dcgan.training.monitor.step_metrics import is_finite
from dcgan.training.monitor.tensorboard import TensorBoardWriter
from dcgan.training.run_folder import (
    ANIMATION,
    BEST,
    CURVES,
    DISCRIMINATOR,
    GENERATOR,
    METRICS,
    SAMPLES,
    RunFolder,
)

# On a GPU the files of at most one epoch in so many steps are written: 3.4 s of dcgan64 on an H100.
_EPOCH_FILES_STEPS = 2_000


class RunRecorder:
    """Writes the files of a run and shows its progress; decides nothing about the run.

    Args:
        trainer: what is trained.
        folder: where to write.
        progress: where to show each step.
        evaluation: when and how to evaluate the generator; None for never.

    Attributes:
        folder: of the run.
        log: the metrics.

    Raises:
        TrainingError: from every method, if the disk is full or reports an error.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        progress: Progress,
        evaluation: EvaluationPlan | None = None,
    ) -> None:
        config = trainer.config
        self._trainer = trainer
        self.folder = folder
        self._progress = progress
        self._evaluation = evaluation
        self._steps_per_epoch = trainer.loader.steps_per_epoch
        self._latents = fixed_latents(config.seed, config.recipe.generator.latent_size)
        self._is_asynchronous = host_copy.is_asynchronous(torch.device(config.device))
        self._writer = BackgroundWriter(asynchronous=self._is_asynchronous)
        self.log = MetricsLog(folder.path / METRICS, torch.device(config.device), trainer.step)
        self.restart_tensorboard()

    @property
    def epoch_ends(self) -> bool:
        """Whether the last step was the last one of an epoch."""
        return self._trainer.step % self._steps_per_epoch == 0

    def start(self, *, healthy: bool) -> None:
        """Writes a grid of real images and, for a new run, the first checkpoint.

        Args:
            healthy: whether a rollback may return to this state.
        """
        real = tile(to_array(self._trainer.loader.preview(GRID_IMAGES)))
        self.folder.write_sample("real", encode_png(real))
        self._tensorboard.write_grid("real", real, self._trainer.step)

        if not (self.folder.path / CHECKPOINT).exists():
            # From now on, a missing checkpoint means that it was lost.
            self.save_checkpoint(healthy=healthy)
        elif healthy:
            # The last session may have been killed between writing the two files.
            self._save_good(self._trainer.encode_checkpoint())

    def record_step(self, metrics: torch.Tensor) -> list[MetricsRow]:
        """Buffers the metrics of the step and shows it; evaluates the generator if that is due.

        Returns:
            The rows that were read from the device: at intervals those of several steps, else none.
        """
        trainer = self._trainer
        epoch = (trainer.step - 1) // self._steps_per_epoch + 1
        self.log.append(metrics, step=trainer.step, epoch=epoch, images=trainer.images_seen)

        if self._evaluation is not None and self._evaluation.due(trainer.step):
            self._evaluate(self._evaluation)

        rows: list[MetricsRow] = []
        if trainer.done:
            rows = self.flush_metrics()
        elif self.log.full:
            rows = self._show_scalars(self.log.flush_full())
        self._progress.show(trainer.step, trainer.images_seen, self.log.latest)
        return rows

    def flush_metrics(self) -> list[MetricsRow]:
        """Writes the buffered metrics and returns their rows; see `MetricsLog.flush`."""
        return self._show_scalars(self.log.flush())

    def save_samples_and_weights(self) -> None:
        """Writes the sample grids and weights that are due after this step."""
        trainer = self._trainer
        recipe = trainer.config.recipe
        if trainer.step % recipe.sample_steps == 0:
            self._write_grid("step", f"step-{trainer.step:06d}")

        if self.epoch_ends:
            epoch = trainer.step // self._steps_per_epoch
            if self._epoch_files_due():
                self._write_grid("epoch", f"epoch-{epoch:04d}")
                self._save_weights()
            if recipe.keep_epochs and epoch % recipe.keep_epochs == 0:
                self._save_weights(f"epochs/{epoch:04d}/")

    def save_checkpoint(self, *, healthy: bool) -> None:
        """Writes a checkpoint, and a copy of it if the run is healthy.

        The metrics have to be flushed; they reach the disk first, so that no checkpoint refers to
        lost rows. So do the samples and weights of the steps before.
        """
        self._writer.drain()
        self.log.sync()
        checkpoint = self._trainer.encode_checkpoint()
        self.folder.write(CHECKPOINT, checkpoint)
        if healthy:
            self._save_good(checkpoint)

    def restart_tensorboard(self) -> None:
        """Drops the events after the current step from TensorBoard, after a rollback."""
        self._writer.drain()
        self._tensorboard = TensorBoardWriter(
            self.folder.path, self._trainer.step, self._progress.print
        )

    def finish(self, *, healthy: bool) -> None:
        """Writes the last checkpoint, the weights, the curves and the animation."""
        self.save_checkpoint(healthy=healthy)
        self._save_weights()
        self._writer.drain()
        if self._trainer.step > 0:
            self.folder.write(CURVES, draw_curves(self.folder.path / METRICS))
        grids = step_grids(self.folder.path / SAMPLES)
        animation = encode_animation(grids) if grids else None
        if animation is not None:
            self.folder.write(ANIMATION, animation)

    def _evaluate(self, evaluation: EvaluationPlan) -> None:
        """Records the quality of the generator, and keeps the weights if they are the best."""
        trainer = self._trainer
        with trainer.eval_generator() as generator:
            quality = evaluation.evaluate(generator)
            if not quality.is_finite:
                return  # the weights are not finite either; the next check ends the run

            values = quality.values()
            is_best = values[QUALITY] < self.log.best_quality
            if is_best:
                self.folder.write_weights(
                    BEST, generator, step=trainer.step, images_seen=trainer.images_seen
                )

        self.log.add_quality(values)
        self._writer.submit(partial(self._tensorboard.write_values, values, trainer.step))
        note = ", the best so far" if is_best else ""
        self._progress.print(
            f"step {trainer.step}: KD-Lite0 x1000 = {values[QUALITY]:.2f} "
            f"+- {values[QUALITY_ERROR]:.2f}{note}"
        )

    def close(self) -> None:
        """Ends the thread that writes files, after the last of them."""
        self._writer.close()

    def _show_scalars(self, rows: list[MetricsRow]) -> list[MetricsRow]:
        """Writes the last finite row as TensorBoard scalars; returns all rows."""
        finite = [row for row in rows if is_finite(row)]
        if finite:
            self._writer.submit(partial(self._tensorboard.write_scalars, finite[-1]))
        return rows

    def _epoch_files_due(self) -> bool:
        """Returns whether to write this epoch's grid and weights; a GPU skips many short epochs.

        An epoch may last a tenth of a second there, less than writing its files. Steps decide and
        not the time, so that a resumed run has the files of an uninterrupted one.
        """
        step = self._trainer.step
        before = step - self._steps_per_epoch
        return not self._is_asynchronous or (
            step // _EPOCH_FILES_STEPS > before // _EPOCH_FILES_STEPS
        )

    def _save_good(self, checkpoint: bytes) -> None:
        # A copy and not a link: damage to one file must not reach the other.
        path = self.folder.path / GOOD
        if not path.exists() or path.read_bytes() != checkpoint:
            self.folder.write(GOOD, checkpoint)

    def _write_grid(self, tag: str, name: str) -> None:
        step = self._trainer.step
        with self._trainer.eval_generator() as generator:
            samples = draw_samples(generator, self._latents)

        def write() -> None:
            grid: Pixels = tile(samples.numpy())
            self.folder.write_sample(name, encode_png(grid))
            self._tensorboard.write_grid(tag, grid, step)

        self._writer.submit(write)

    def _save_weights(self, prefix: str = "") -> None:
        with self._trainer.eval_generator() as generator:
            self._submit_weights(prefix + GENERATOR, generator)
        self._submit_weights(prefix + DISCRIMINATOR, self._trainer.state.discriminator)

    def _submit_weights(self, name: str, network: torch.nn.Module) -> None:
        step = self._trainer.step
        images_seen = self._trainer.images_seen
        copies = {key: HostCopy(tensor) for key, tensor in network.state_dict().items()}

        def write() -> None:
            tensors = {key: torch.from_numpy(copy.numpy()) for key, copy in copies.items()}
            self.folder.write_tensors(name, tensors, step=step, images_seen=images_seen)

        self._writer.submit(write)
