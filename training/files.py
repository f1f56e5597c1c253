"""Writing the files of a run, with the errors that its user can act on."""

from __future__ import annotations

from pathlib import Path

from dcgan.core import atomic
from dcgan.training.errors import TrainingError


def write_file(path: Path, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        TrainingError: if it cannot be written; what was there before is unchanged then.
    """
    try:
        atomic.write_file(path, data)
    except OSError as error:
        cure = (
            "make room and use --resume" if atomic.is_disk_full(error) else "choose another --out"
        )
        raise TrainingError(f"cannot write {path}: {error.strerror}; {cure}") from None
