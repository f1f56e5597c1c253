"""What a run does when it has collapsed, and what it writes down about it."""

from __future__ import annotations

import json
from pathlib import Path

from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.files import write_file
from dcgan.training.monitor.metrics_log import History
from dcgan.training.run_folder import RunFolder

DETOURS = "detours.json"
"""One entry for each time that the run has gone back."""

_MOST = 5


def go_back(trainer: Trainer, folder: RunFolder, history: History, why: str) -> str:
    """Takes a run back to its last good checkpoint, with other random numbers from there on; returns a sentence.

    The measures of the steps that are abandoned move into a file of their own. If the run is killed in the midst of
    this, it goes back again when it is resumed, or goes on from there if the checkpoint is already in its place: so
    the history is cut last, for one that is too long is cut when a run is resumed, and one that is too short is not.

    Raises:
        TrainingError: if it has gone back too often, or has no good checkpoint.
    """
    step, detour = trainer.step, trainer.detour + 1
    if detour > _MOST:
        raise TrainingError(
            f"{why}; it has gone back {_MOST} times and collapses again: {folder.path / GOOD} is its last good "
            "checkpoint; begin a run with other rates"
        )
    if not (folder.path / GOOD).exists():
        raise TrainingError(
            f"{why}; there is no good checkpoint to go back to: begin a run with other rates"
        )
    trainer.resume(folder.path / GOOD, detour)
    note(
        folder.path / DETOURS,
        {"detour": detour, "from_step": step, "to_step": trainer.step, "why": why},
    )
    history.copy_rest(trainer.step, folder.path / f"metrics.abandoned-{detour}.jsonl")
    checkpoint = trainer.checkpoint()
    folder.write(CHECKPOINT, checkpoint)
    folder.write(GOOD, checkpoint)
    history.rewind(trainer.step)
    return f"back to step {trainer.step}, with other random numbers (detour {detour})"


def note(path: Path, detour: dict[str, int | str]) -> None:
    """Adds an entry, in the place of those that a killed process may have written for the same detour or later ones."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [entry for entry in entries if entry["detour"] < detour["detour"]]
    write_file(path, (json.dumps([*kept, detour], indent=2) + "\n").encode())
