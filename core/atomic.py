"""Atomic writes: after a crash or with a full disk, a path holds its old content or its new one, never a part of it.

Both context managers give a temporary path beside the target, flush it to the disk, and rename it over the target when
the block ends without an error. They raise `OSError`; callers turn it into a message that names their option.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write a file to, and moves the file to `path` at the end.

    A symbolic link is followed. A FIFO or a device is written into and never replaced.

    Raises:
        OSError: if the file cannot be written; `path` is unchanged then.
    """
    target = Path(os.path.realpath(path))

    if _is_special(target):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, target.name)
            yield temporary
            with temporary.open("rb") as source, target.open("wb") as destination:
                shutil.copyfileobj(source, destination)
        return

    temporary = _temporary_path(target)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Writes a file atomically; its folder is made if there is none.

    Raises:
        OSError: if the file cannot be written; what was there before is unchanged then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder to fill, and moves it to `path` at the end.

    Raises:
        OSError: if the folder cannot be written, or if `path` is there already and is not an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp made it private
        flush(*temporary.iterdir(), temporary)
        temporary.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files that a killed process has left in a folder that no other process is writing to."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            path.unlink()


def flush(*paths: Path) -> None:
    """Waits until the disk holds files and folders (fsync)."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_disk_full(error: Exception) -> TypeGuard[OSError]:
    """Whether an error means that the disk, or the user's quota on it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _temporary_path(target: Path) -> Path:
    # The name cannot be predicted, so that nobody can plant a link there. It is shortened to fit the file system.
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
