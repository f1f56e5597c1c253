"""The trainer: networks, optimizers, EMA and data loader, and the position of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader, TrainingBatch
from dcgan.training.data.prefetch import Prefetcher
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.engine.checkpoint import (
    Position,
    checkpoint_tensors,
    encode_checkpoint,
    load_checkpoint,
)
from dcgan.training.engine.compiled import compile_step
from dcgan.training.engine.cuda_graphs import CudaGraphStep
from dcgan.training.engine.state import create_training_state, set_learning_rates
from dcgan.training.engine.step import TrainingStep
from dcgan.training.models.ema import EMA
from dcgan.training.models.networks import Generator
from dcgan.training.run_config import RunConfig


class Trainer:
    """Everything that changes during a run, and the step that changes it.

    Args:
        config: of the run.
        dataset: decoded images.
        context: the processes that train together.

    Attributes:
        step: steps done.
        rollbacks: how often the run was rolled back after a collapse.
        loader: makes the batches.
        state: the networks and optimizers.
        ema: average of the generator, or None if the recipe has none.
    """

    def __init__(
        self, config: RunConfig, dataset: Dataset, context: DistributedContext = SINGLE_PROCESS
    ) -> None:
        recipe = config.recipe
        device = torch.device(config.device)
        self.config = config
        self.context = context
        self.step = 0
        self.rollbacks = 0
        self._images_before = 0 if config.init_from is None else config.init_from.images_seen
        self.loader = BatchLoader(dataset, recipe, config.seed, device, context)
        self._prefetcher = Prefetcher(self.loader, device)
        self.state = create_training_state(recipe, config.seed, device, context)

        self.ema: EMA | None = None
        if recipe.ema_half_life:
            self.ema = EMA(
                self.state.generator,
                half_life=recipe.ema_half_life,
                batch_size=recipe.batch_size,
                seed=config.seed,
            )

        step = TrainingStep(recipe, self.state, config.precision, context, config.switches)
        self._to_compile = step if config.switches.compile else None
        self._step: Callable[[TrainingBatch], torch.Tensor] = step
        if device.type == "cuda" and context.world_size == 1:
            self._step = CudaGraphStep(step, self.state, recipe.batch_size)

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.config.steps

    @property
    def images_seen(self) -> int:
        """Real images seen so far, repeats counted."""
        return self.loader.images_seen(self.step)

    def train_step(self) -> torch.Tensor:
        """Trains one step; returns its metrics, float32 [len(STEP_METRICS)], on the device."""
        # Set the learning rates of this step.
        recipe = self.config.recipe
        if recipe.decay_from < 1:
            factor = recipe.learning_rate_factor(self.step, self.config.steps)
            set_learning_rates(self.state, recipe, factor)

        # Update both networks.
        if self._to_compile is not None:
            # Before the first step, whose batch may be a smaller one if the run was resumed.
            full_batch = self._prefetcher.batch(0, self.rollbacks)
            compile_step(self._to_compile, self.state, full_batch)
            self._to_compile = None
        batch = self._prefetcher.batch(self.step, self.rollbacks)
        metrics = self._step(batch)
        self.step += 1
        if not self.done:
            self._prefetcher.prefetch(self.step, self.rollbacks)

        # Update the EMA.
        if self.ema is not None:
            self.ema.update(self.state.generator, self._images_before + self.images_seen)
        return metrics

    def encode_checkpoint(self) -> bytes:
        """Returns the content of a checkpoint file."""
        position = Position(step=self.step, rollbacks=self.rollbacks)
        return encode_checkpoint(self.state, self.ema, position)

    def load_checkpoint(self, path: Path) -> None:
        """Continues from a checkpoint, in this process alone; see `broadcast_state`.

        Raises:
            TrainingError: if it is damaged or of another recipe.
        """
        position = load_checkpoint(path, self.state, self.ema)
        self.step = position.step
        self.rollbacks = position.rollbacks

    def broadcast_state(self) -> None:
        """Copies state and position of the main process to all others; all of them call this."""
        position = torch.tensor([self.step, self.rollbacks], device=self.config.device)
        tensors = checkpoint_tensors(self.state, self.ema).values()
        self.context.broadcast([*tensors, position])
        self.step, self.rollbacks = position.tolist()

    @contextmanager
    def eval_generator(self) -> Iterator[Generator]:
        """Gives the generator that would be exported now, in eval mode: the EMA if there is one."""
        if self.ema is not None:
            self.ema.estimate_statistics()
            yield self.ema.generator
            return

        generator = self.state.generator
        generator.eval()
        try:
            yield generator
        finally:
            generator.train()
