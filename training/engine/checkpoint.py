"""checkpoint.safetensors: the state of a run after a step, exact to the bit.

A checkpoint holds both networks, both optimizers and the EMA. Random numbers, the order of the data
and the learning rates are functions of the step (see `dcgan.training.rng`), so only the step and
the number of rollbacks are stored for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.training.config import Recipe
from dcgan.training.engine.state import TrainingState, create_training_state
from dcgan.training.errors import TrainingError
from dcgan.training.models.ema import EMA
from dcgan.training.models.tensor_header import same_layout
from dcgan.training.run_folder import GENERATOR, METRICS
from dcgan.training.tensor_file import encode_tensors, read_layout, read_tensors

CHECKPOINT = "checkpoint.safetensors"
GOOD = "good.safetensors"
"""The last checkpoint that was written while the run was healthy."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run is.

    Attributes:
        step: steps done.
        rollbacks: how often the run was rolled back after a collapse.
    """

    step: int
    rollbacks: int = 0


def find_checkpoint(folder: Path, layout: Mapping[str, Tensor]) -> Path | None:
    """Finds the checkpoint from which the run in a folder resumes.

    Args:
        folder: of the run.
        layout: tensors with the types and shapes of those of its checkpoints.

    Returns:
        Its path, or None if the run was stopped before it wrote anything.

    Raises:
        TrainingError: if the checkpoint is missing although the run has started, or is no file.
    """
    path = folder / CHECKPOINT
    if path.is_file():
        return path
    if path.exists():
        raise TrainingError(f"{path} is not a regular file; restore it, or choose another run")

    metrics = folder / METRICS
    has_metrics = metrics.exists() and metrics.stat().st_size > 0
    started = has_metrics or any((folder / name).exists() for name in (GOOD, GENERATOR))
    if not started:
        return None

    cure = "restore it, or choose another --out"
    if _is_intact(folder / GOOD, layout):
        cure = f"copy {GOOD} to that name"
    raise TrainingError(f"{path} is missing although the run has started; {cure}")


def encode_checkpoint(state: TrainingState, ema: EMA | None, position: Position) -> bytes:
    """Encodes a checkpoint as the content of a safetensors file."""
    # The file format says "detour" for a rollback.
    facts = {"step": position.step, "detour": position.rollbacks}
    return encode_tensors(checkpoint_tensors(state, ema), facts)


def load_checkpoint(path: Path, state: TrainingState, ema: EMA | None) -> Position:
    """Loads a checkpoint into networks, optimizers and EMA.

    Returns:
        The position of the run when the checkpoint was written.

    Raises:
        TrainingError: if the checkpoint is damaged or of another recipe; nothing is changed then.
    """
    live = checkpoint_tensors(state, ema)
    saved, facts = _read(path, live)
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])  # in place: optimizers rely on the memory layout
    return Position(step=facts["step"], rollbacks=facts.get("detour", 0))


def checkpoint_tensors(state: TrainingState, ema: EMA | None) -> dict[str, Tensor]:
    """Returns every tensor of a checkpoint by name; the tensors themselves, no copies."""
    tensors = state.tensors()
    if ema is not None:
        # Without batch-norm statistics, which are estimated again when they are needed.
        for name, weight in ema.generator.named_parameters():
            tensors[f"average.{name}"] = weight
    return tensors


def checkpoint_layout(recipe: Recipe) -> dict[str, Tensor]:
    """Returns the tensors of a checkpoint on the meta device, where they take no memory."""
    meta = torch.device("meta")
    with meta:
        state = create_training_state(recipe, 0, meta)
        ema: EMA | None = None
        if recipe.ema_half_life:
            ema = EMA(
                state.generator,
                half_life=recipe.ema_half_life,
                batch_size=recipe.batch_size,
                seed=0,
            )
    return checkpoint_tensors(state, ema)


def _read(path: Path, layout: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, int]]:
    try:
        fits = same_layout(read_layout(path), layout)
        saved, facts = read_tensors(path) if fits else ({}, {})
    except TrainingError:
        good = path.with_name(GOOD)
        if good == path or not _is_intact(good, layout):
            raise
        raise TrainingError(
            f"{path} is damaged, but {GOOD} beside it is intact: copy it to {path.name} and resume"
        ) from None

    if "step" not in facts:
        raise TrainingError(
            f"{path} does not fit the recipe of the run; config.json was changed after the start"
        )
    return saved, facts


def _is_intact(path: Path, layout: Mapping[str, Tensor]) -> bool:
    try:
        if not same_layout(read_layout(path), layout):
            return False
        read_tensors(path)
    except TrainingError:
        return False
    return True
