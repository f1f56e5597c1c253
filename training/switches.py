"""Switches of the training step: how it is computed, not what."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields

from dcgan.training.errors import TrainingError

VALUES = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How a step is computed: changes its speed and its last bits, but not what it computes.

    Each value is "on", "off" or "auto"; `resolve_switches` says what "auto" means.

    Attributes:
        compile: compile networks, augmentation and losses with torch.compile.
        weight_copies: make the weights that layers read, in bf16 or spectrally normalized, once for
            each phase of a step and for all layers together, not at each use.
        one_pass: judge real and generated images in one pass where D has no batch normalization.
        padded_channels: pad images to 4 channels (8 in bf16) once, not in each convolution.
        linear_penalties: compute R1 and R2 without a second derivative where D has no
            normalization.
    """

    compile: str = "auto"
    weight_copies: str = "auto"
    one_pass: str = "auto"
    padded_channels: str = "auto"
    linear_penalties: str = "auto"

    def __post_init__(self) -> None:
        for each in fields(self):
            check_choice(f"engine.{each.name}", getattr(self, each.name), VALUES)


@dataclass(frozen=True, kw_only=True)
class StepSwitches:
    """The values of `EngineConfig` for one device, as a run uses and records them."""

    compile: bool = False
    weight_copies: bool = False
    one_pass: bool = False
    padded_channels: bool = False
    linear_penalties: bool = False


def check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Checks a value of a recipe that is a word.

    Raises:
        TrainingError: if it is none of the choices; names the most similar one.
    """
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it can be {', '.join(choices)}"
        raise TrainingError(f"{key} cannot be {value!r:.60}; {hint}")
