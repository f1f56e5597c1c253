"""The training loop."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import torch

from dcgan.training.engine.checkpoint import Cadence
from dcgan.training.engine.recorder import Keeper
from dcgan.training.engine.signals import Stop
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import CollapseError
from dcgan.training.monitor.metrics_log import lump
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunFolder


class Wish(IntEnum):
    """What a process wants to do next. Where several train together, the largest wish is everybody's."""

    GO_ON = 0
    STOP = 1
    GO_BACK = 2


def train(
    trainer: Trainer,
    folder: RunFolder,
    progress: Progress,
    stop: Stop,
    cadence: Cadence,
    *,
    on_collapse: str = "continue",
) -> None:
    """Runs to the last step, or to a wish to stop; either way everything is saved.

    Args:
        trainer: what is trained.
        folder: where to write; only the leader of a team does.
        progress: where to tell of it.
        stop: hears the wish to stop.
        cadence: when to write checkpoints.
        on_collapse: "continue", "stop", or "rollback" to the last good checkpoint with other random numbers.

    Raises:
        TrainingError: if a loss is no longer a number, or the disk refuses; the last checkpoint is good then.
    """
    if not trainer.team.leads:
        _follow(trainer, stop)
        return
    keeper = Keeper(trainer, folder, progress, cadence, on_collapse)
    keeper.begin()
    collapse: CollapseError | None = None
    while trainer.step < trainer.config.steps:
        measures, asked = trainer.advance(), False
        try:
            keeper.take(measures)
            asked = stop.asked
            if asked:
                keeper.look()  # while there is still a way back
        except CollapseError as error:
            if on_collapse != "rollback":
                raise
            collapse = error
        stopping = Wish.STOP if asked or keeper.has_enough else Wish.GO_ON
        wish = _meet(trainer, Wish.GO_BACK if collapse else stopping)
        if wish == Wish.GO_BACK and collapse is not None:
            keeper.go_back(collapse)
            collapse = None
        elif wish == Wish.STOP:
            break
    keeper.end()


def _meet(trainer: Trainer, wish: Wish) -> Wish:
    """Agrees with the other processes on what to do; between the meetings, everybody goes on."""
    device = torch.device(trainer.config.device)
    together = trainer.step % lump(device) == 0 or trainer.step == trainer.config.steps
    if trainer.team.size > 1 and not together:
        return Wish.GO_ON
    return Wish(trainer.team.largest(wish, device))


def _follow(trainer: Trainer, stop: Stop) -> None:
    """The loop of a process that writes nothing."""
    while trainer.step < trainer.config.steps:
        trainer.advance()
        wish = _meet(trainer, Wish.STOP if stop.asked else Wish.GO_ON)
        if wish == Wish.GO_BACK:
            trainer.resume(Path())
        elif wish == Wish.STOP:
            break
