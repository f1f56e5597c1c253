"""Everything that changes while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import Batch, Feed
from dcgan.training.distributed import ALONE, Team
from dcgan.training.engine.checkpoint import check_finite, encode, restore, share
from dcgan.training.engine.cuda_graphs import RecordedStep
from dcgan.training.engine.step import Step, make_players, set_rates
from dcgan.training.models.ema import Average
from dcgan.training.models.networks import Generator
from dcgan.training.run_folder import RunConfig


class Trainer:
    """The networks, their optimizers, the average and the feed, and the step that moves them on.

    Attributes:
        step: steps done.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, team: Team = ALONE) -> None:
        device = torch.device(config.device)
        self.config = config
        self.team = team
        self.step = 0
        self.feed = Feed(dataset, config.recipe, config.seed, device, team)
        self.players = make_players(config.recipe, config.seed, device, team)
        averaged = config.recipe.average_images > 0
        self.average = (
            Average(self.players.generator, config.recipe, config.seed) if averaged else None
        )
        step = Step(config.recipe, self.players, config.precision, team)
        recorded = device.type == "cuda" and team.size == 1
        self._step: Callable[[Batch], torch.Tensor] = step
        if recorded:
            self._step = RecordedStep(step, self.players, config.recipe.batch_size)

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

    def checkpoint(self) -> bytes:
        """The content of a checkpoint.

        Raises:
            CollapseError: if a weight is no longer a number.
        """
        check_finite(self.players)
        return encode(self.players, self.average, {"step": self.step, "detour": self.detour})

    def resume(self, path: Path, detour: int | None = None) -> None:
        """Goes on from a checkpoint, which only the leader of a team reads.

        Args:
            path: of the checkpoint.
            detour: number of the detour that begins there; that of the checkpoint if it is None.

        Raises:
            TrainingError: if it is damaged or of another recipe.
        """
        facts = torch.zeros(2, dtype=torch.int64, device=self.config.device)
        if self.team.leads:
            found = restore(path, self.players, self.average)
            facts[0], facts[1] = found["step"], found["detour"] if detour is None else detour
        share(self.team, self.players, self.average)
        self.team.copy_first([facts])
        self.step, self.feed.detour = facts.tolist()
        if self.average:
            self.average.forget()

    @property
    def detour(self) -> int:
        """Times that the run has gone back after a collapse."""
        return self.feed.detour

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
