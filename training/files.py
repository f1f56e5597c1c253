"""Writing files so that a kill or a full disk at any moment leaves the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

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


def is_full(error: Exception) -> TypeGuard[OSError]:
    """Whether the disk, or the user's share of it, has no more room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _refusal(path: Path, error: OSError) -> TrainingError:
    cure = "make room and use --resume" if is_full(error) else "choose another --out"
    return TrainingError(f"cannot write {path}: {error.strerror}; {cure}")
