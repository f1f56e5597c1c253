"""A lock between processes, on a file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.zoo.repository import RepositoryError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file that only one process can hold; the system lets go of it when the process ends.

    Args:
        path: of the file, which is made with its folder and stays behind, empty.

    Raises:
        RepositoryError: if the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise RepositoryError(f"cannot write to the cache {path.parent}: {error.strerror}; set DCGAN_HOME") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
