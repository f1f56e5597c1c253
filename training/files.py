"""Atomic writes of the files of a run, with error messages that name the cure."""

from __future__ import annotations

from pathlib import Path

from dcgan.core import atomic
from dcgan.training.errors import TrainingError


def write_file(path: Path, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        TrainingError: if it cannot be written; the previous content is unchanged then.
    """
    try:
        atomic.write_file(path, data)
    except OSError as error:
        full = atomic.is_disk_full(error)
        cure = "free some space and use --resume" if full else "choose another --out"
        raise TrainingError(f"cannot write {path}: {error.strerror}; {cure}") from None
