"""Rollback of a collapsed run to its last good checkpoint (`--on-collapse rollback`).

The code calls it a rewind.
"""

from __future__ import annotations

import json
from pathlib import Path

from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.files import write_file
from dcgan.training.monitor.metrics_log import MetricsLog
from dcgan.training.run_folder import RunFolder

REWINDS = "detours.json"
"""One entry for each rewind: its number, both steps and the reason."""

MAX_REWINDS = 5


def rewind(trainer: Trainer, folder: RunFolder, log: MetricsLog, reason: str) -> None:
    """Rewinds a run to its last good checkpoint and continues with other random numbers.

    The rows of the abandoned steps move into a file of their own. The files are written in an order
    that survives a kill between any two of them: the metrics are truncated last, because rows after
    the checkpoint are removed when a run resumes, while missing rows could not be restored.

    Args:
        trainer: in the main process.
        folder: of the run.
        log: metrics of the run.
        reason: why the run is rewound.

    Raises:
        TrainingError: if it was rewound too often, or there is no good checkpoint.
    """
    good = folder.path / GOOD
    if trainer.rewinds >= MAX_REWINDS:
        raise TrainingError(
            f"{reason}; the run was rolled back {MAX_REWINDS} times and collapsed again: {good} is "
            "its last good checkpoint; start a new run with other learning rates"
        )
    if not good.exists():
        raise TrainingError(
            f"{reason}; there is no good checkpoint to load: start a new run with other "
            "learning rates"
        )

    # Load the good checkpoint and count the rewind.
    from_step = trainer.step
    number = trainer.rewinds + 1
    trainer.load_checkpoint(good)
    trainer.rewinds = number

    # Record it, and keep the rows of the abandoned steps.
    entry: dict[str, int | str] = {
        "detour": number,
        "from_step": from_step,
        "to_step": trainer.step,
        "why": reason,
    }
    append_rewind(folder.path / REWINDS, entry)
    log.copy_after(trainer.step, folder.path / f"metrics.abandoned-{number}.jsonl")

    # Make the rewound state the checkpoint of the run.
    checkpoint = trainer.encode_checkpoint()
    folder.write(CHECKPOINT, checkpoint)
    folder.write(GOOD, checkpoint)
    log.truncate(trainer.step)


def append_rewind(path: Path, entry: dict[str, int | str]) -> None:
    """Appends an entry; replaces those of the same or later rewinds that a killed process wrote."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    earlier = [old for old in entries if old["detour"] < entry["detour"]]
    write_file(path, (json.dumps([*earlier, entry], indent=2) + "\n").encode())
