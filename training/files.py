"""Writing files so that a kill or a full disk at any moment leaves the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from dcgan.training.errors import TrainingError


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file in its place, whole, or leaves the one that is there.

    Raises:
        TrainingError: if the disk refuses.
    """
    staging = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except OSError as error:
        with suppress(OSError):
            staging.unlink()
        raise _refusal(path, error) from None


def _refusal(path: Path, error: OSError) -> TrainingError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    cure = "make room and use --resume" if full else "choose another --out"
    return TrainingError(f"cannot write {path}: {error.strerror}; {cure}")
