"""checkpoint.safetensors: the state of a run after some step, exact to the bit.

It holds both networks, both optimizers and the average. Random numbers, the order of the data and the learning rates
are functions of the step (`dcgan.training.rng`), so the number of the step is all that is kept of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dcgan.training.distributed import Team
from dcgan.training.engine.step import Players
from dcgan.training.errors import CollapseError, TrainingError
from dcgan.training.models.ema import Average
from dcgan.training.run_folder import GENERATOR, METRICS
from dcgan.training.tensor_file import pack, unpack

CHECKPOINT = "checkpoint.safetensors"
GOOD = "good.safetensors"
"""The last checkpoint that was written while nothing looked like a collapse."""


class Cadence:
    """When to write a checkpoint: after so many seconds, and after every so many steps if they are given."""

    def __init__(self, seconds: float = 300.0, steps: int | None = None) -> None:
        self._seconds = seconds
        self._steps = steps
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether one is to be written after this step; the seconds count anew if so."""
        now = time.monotonic()
        due = now - self._last >= self._seconds or (
            self._steps is not None and step % self._steps == 0
        )
        if due:
            self._last = now
        return due


def check_finite(players: Players) -> None:
    """Checks that every weight is a number, so that the checkpoint before stays the last good one if not.

    Raises:
        CollapseError: if one is not.
    """
    for network in (players.generator, players.discriminator):
        for name, weight in network.named_parameters():
            if not torch.isfinite(weight).all():
                raise CollapseError(
                    f"the weights in {name} are no longer numbers; the last checkpoint is good: "
                    "begin a run with lower rates or --precision fp32"
                )


def find(folder: Path) -> Path | None:
    """The checkpoint that the run in a folder goes on from; None if it was stopped before it began.

    Raises:
        TrainingError: if it has begun, so that there was one.
    """
    path, metrics = folder / CHECKPOINT, folder / METRICS
    if path.exists():
        return path
    begun = any((folder / name).exists() for name in (GOOD, GENERATOR))
    if not begun and not (metrics.exists() and metrics.stat().st_size):
        return None
    cure = (
        f"copy {GOOD} to that name"
        if _is_whole(folder / GOOD)
        else "put it back, or choose another --out"
    )
    raise TrainingError(f"{path} is missing though the run has begun; {cure}")


def encode(players: Players, average: Average | None, facts: Mapping[str, int]) -> bytes:
    """Makes the content of a checkpoint; the facts are the step and the detour."""
    return pack(_state(players, average), facts)


def restore(path: Path, players: Players, average: Average | None) -> dict[str, int]:
    """Puts the state of a checkpoint into networks, optimizers and average.

    Returns:
        Its facts: the steps that were done, and the detour.

    Raises:
        TrainingError: if the checkpoint is damaged or of another recipe; nothing is changed then.
    """
    saved, facts = _read(path)
    live = _state(players, average)
    fits = saved.keys() == live.keys() and all(
        saved[name].shape == live[name].shape for name in live
    )
    if not fits or "step" not in facts:
        raise TrainingError(
            f"{path} does not fit the recipe of the run; it was changed after it began"
        )
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])  # into the memory layout that the optimizers rely on
    return {"detour": 0} | facts


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    try:
        return unpack(path)
    except TrainingError:
        good = path.with_name(GOOD)
        if good == path or not _is_whole(good):
            raise
    raise TrainingError(
        f"{path} is damaged, but {GOOD} beside it is whole: copy it to {path.name} and resume"
    )


def _is_whole(path: Path) -> bool:
    try:
        unpack(path)
    except TrainingError:
        return False
    return True


def share(team: Team, players: Players, average: Average | None) -> None:
    """Gives every process the state of the first one."""
    team.copy_first(list(_state(players, average).values()))


def _state(players: Players, average: Average | None) -> dict[str, Tensor]:
    state = players.state()
    if average is not None:  # its statistics are estimated anew whenever they are needed
        state |= {
            f"average.{name}": tensor for name, tensor in average.generator.named_parameters()
        }
    return state
