"""Atomic writes of the files of a run, with error messages that name the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.core import atomic
from dcgan.training.errors import TrainingError


def write_file(path: Path, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        TrainingError: if it cannot be written; the previous content is unchanged then.
    """
    with _reporting(path):
        atomic.write_file(path, data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write a large file to, and moves it to `path` at the end.

    Raises:
        TrainingError: if it cannot be written; the previous content is unchanged then.
    """
    with _reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            yield temporary


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = atomic.is_disk_full(error)
        cure = "free some space and use --resume" if full else "choose another --out"
        raise TrainingError(f"cannot write {path}: {error.strerror}; {cure}") from None
