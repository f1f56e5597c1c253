"""Rollback of a collapsed run to its last good checkpoint (`--on-collapse rollback`)."""

from __future__ import annotations

import json
from pathlib import Path

from dcgan.core.bounded import read_bounded
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.files import write_file
from dcgan.training.monitor.metrics_log import MetricsLog
from dcgan.training.run_folder import RunFolder

ROLLBACKS = "detours.json"
"""One entry for each rollback: its number, both steps and the reason."""

_MAX_BYTES = 2**24  # of that file

MAX_ROLLBACKS = 5


def roll_back(trainer: Trainer, folder: RunFolder, log: MetricsLog, reason: str) -> None:
    """Returns a run to its last good checkpoint and continues with other random numbers.

    The rows of the abandoned steps move into a file of their own. The files are written in an order
    that survives a kill between any two of them: the metrics are truncated last, because rows after
    the checkpoint are removed when a run resumes, while missing rows could not be restored.

    Args:
        trainer: in the main process.
        folder: of the run.
        log: metrics of the run.
        reason: why the run is rolled back.

    Raises:
        TrainingError: if it was rolled back too often, or there is no good checkpoint.
    """
    good = folder.path / GOOD
    if trainer.rollbacks >= MAX_ROLLBACKS:
        raise TrainingError(
            f"{reason}; the run was rolled back {MAX_ROLLBACKS} times and collapsed again: "
            f"{good} is its last good checkpoint; start a new run with other learning rates"
        )
    if not good.exists():
        raise TrainingError(
            f"{reason}; there is no good checkpoint to load: start a new run with other "
            "learning rates"
        )

    # Load the good checkpoint and count the rollback.
    from_step = trainer.step
    number = trainer.rollbacks + 1
    trainer.load_checkpoint(good)
    trainer.rollbacks = number

    # Record it, and keep the rows of the abandoned steps.
    entry: dict[str, int | str] = {
        "detour": number,
        "from_step": from_step,
        "to_step": trainer.step,
        "why": reason,
    }
    append_rollback(folder.path / ROLLBACKS, entry)
    log.copy_abandoned(trainer.step, number)

    # Make the state after the rollback the checkpoint of the run.
    checkpoint = trainer.encode_checkpoint()
    folder.write(CHECKPOINT, checkpoint)
    folder.write(GOOD, checkpoint)
    log.truncate(trainer.step)


def append_rollback(path: Path, entry: dict[str, int | str]) -> None:
    """Appends an entry; replaces those that a killed process wrote for this rollback or later ones.

    Raises:
        TrainingError: if the file is damaged, or cannot be written.
    """
    try:
        entries = json.loads(read_bounded(path, _MAX_BYTES)) if path.exists() else []
        earlier = [old for old in entries if old["detour"] < entry["detour"]]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        raise TrainingError(f"{path} is damaged; remove it, and use --resume") from None
    write_file(path, (json.dumps([*earlier, entry], indent=2) + "\n").encode())
