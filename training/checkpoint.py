"""checkpoint.safetensors: the state of a run after some step, exact to the bit.

It holds both networks, both optimizers and the average. Random numbers, the order of the data and the learning rates
are functions of the step (`dcgan.training.draws`), so the number of the step is all that is kept of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from dcgan.training.average import Average
from dcgan.training.errors import TrainingError
from dcgan.training.step import Players
from dcgan.training.tensors import pack, unpack

CHECKPOINT = "checkpoint.safetensors"


class Cadence:
    """When to write a checkpoint: after so many seconds, and after every so many steps if they are given."""

    def __init__(self, seconds: float = 300.0, steps: int | None = None) -> None:
        self._seconds = seconds
        self._steps = steps
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether one is to be written after this step; the seconds count anew if so."""
        now = time.monotonic()
        due = now - self._last >= self._seconds or (self._steps is not None and step % self._steps == 0)
        if due:
            self._last = now
        return due


def check_finite(players: Players) -> None:
    """Checks that every weight is a number, so that the checkpoint before stays the last good one if not.

    Raises:
        TrainingError: if one is not.
    """
    for network in (players.generator, players.discriminator):
        for name, weight in network.named_parameters():
            if not torch.isfinite(weight).all():
                raise TrainingError(
                    f"the weights in {name} are no longer numbers; the last checkpoint is good: "
                    "begin a run with lower rates or --precision fp32"
                )


def encode(players: Players, average: Average | None, step: int) -> bytes:
    """Makes the content of a checkpoint."""
    return pack(_state(players, average), {"step": step})


def restore(path: Path, players: Players, average: Average | None) -> int:
    """Puts the state of a checkpoint into networks, optimizers and average.

    Returns:
        The steps that were done.

    Raises:
        TrainingError: if the checkpoint is damaged or of another recipe; nothing is changed then.
    """
    saved, facts = unpack(path)
    live = _state(players, average)
    fits = saved.keys() == live.keys() and all(saved[name].shape == live[name].shape for name in live)
    if not fits or "step" not in facts:
        raise TrainingError(f"{path} does not fit the recipe of the run; it was changed after it began")
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])  # into the memory layout that the optimizers rely on
    return facts["step"]


def _state(players: Players, average: Average | None) -> dict[str, Tensor]:
    """Every tensor that a step changes, by name; the tensors themselves, not copies."""
    state: dict[str, Tensor] = {}
    for prefix, network, optimizer in (
        ("generator", players.generator, players.generator_adam),
        ("discriminator", players.discriminator, players.discriminator_adam),
    ):
        state |= {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}
        for name, parameter in network.named_parameters():
            moments = optimizer.state[parameter]
            state |= {f"{prefix}_adam.{name}.{key}": tensor for key, tensor in moments.items()}
    if average is not None:  # its statistics are estimated anew whenever they are needed
        state |= {f"average.{name}": tensor for name, tensor in average.generator.named_parameters()}
    return state
