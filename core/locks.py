"""A lock between processes, on a file."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dcgan.core.errors import CacheError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file that only one process can hold; the system lets go of it when the process ends.

    Args:
        path: of the file, which is made with its folder and stays behind, empty.

    Raises:
        CacheError: if the file cannot be made.
    """
    try:
        file = _open(path)
    except OSError as error:
        raise CacheError(
            f"cannot write to the cache {path.parent}: {error.strerror}; set DCGAN_HOME"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def take(path: Path) -> BinaryIO:
    """Takes a file that only one process can hold, without waiting for it; closing it lets go.

    Raises:
        BlockingIOError: if another process holds it.
        OSError: if the file cannot be made.
    """
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")
