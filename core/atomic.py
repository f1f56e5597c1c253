"""Atomic writes: a path holds its old or its new content, even after a crash or on a full disk.

The context managers give a temporary path in the folder of the target, flush it to the disk, and
rename it over the target when the block ends without an error. They raise `OSError`; callers turn
it into a message that names their option.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

from dcgan.core.locks import LockUnsupportedError, folder_lock

_TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write a file to, and moves the file to `path` at the end.

    A symbolic link is followed. A FIFO or a device is written into and never replaced.

    Raises:
        OSError: if the file cannot be written; `path` is unchanged then.
    """
    if is_special(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, "content")
            yield temporary
            with temporary.open("rb") as source, path.open("wb") as destination:
                shutil.copyfileobj(source, destination)
        return

    target = Path(os.path.realpath(path))
    temporary = _temporary_path(target)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Writes a file atomically and creates its folder if need be; otherwise as `replacing`.

    Raises:
        OSError: if the file cannot be written; what was there before is unchanged then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder to fill, and moves it to `path` at the end.

    The folder is locked meanwhile, so that `remove_leftovers` of other processes leaves it alone.

    Raises:
        OSError: if the folder cannot be written, or if `path` exists and is not an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        temporary = _make_locked_folder(path, stack)
        try:
            yield temporary
            flush(*temporary.rglob("*"), temporary)
            temporary.rename(path)
            flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, target: str | None = None) -> None:
    """Removes the temporary files and folders that killed processes have left behind.

    Folders that a process is still filling stay, and so do all on a file system without locks.
    Call it only while no other process writes files there, for instance under a lock.

    Args:
        folder: where to look, at any depth.
        target: name of the file or folder whose leftovers are removed; any by default.
    """
    for path in list(folder.rglob(".*.part")):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or target not in (None, match["target"]):
            continue

        if path.is_dir() and not path.is_symlink():
            with suppress(OSError), folder_lock(path):
                shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def flush(*paths: Path) -> None:
    """Waits until files and folders are on the disk (fsync)."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_special(path: Path) -> bool:
    """Returns whether a path is, or leads to, a FIFO, a device or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def resolves_below(path: Path, root: Path) -> bool:
    """Returns whether a path, with its links followed, lies in a folder.

    Args:
        path: that may be a link.
        root: the folder, resolved.
    """
    try:
        target = path.resolve()
        is_loop = target.is_symlink()  # Python 3.13 and newer stop there, older ones raise
        return target.is_relative_to(root) and not is_loop
    except (OSError, RuntimeError):
        return False


def is_disk_full(error: Exception) -> TypeGuard[OSError]:
    """Returns whether an error means that the disk, or the user's quota on it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _make_locked_folder(target: Path, stack: ExitStack) -> Path:
    """Creates the temporary folder of a target, which is locked until the stack ends."""
    while True:
        temporary = _temporary_path(target)
        temporary.mkdir()
        try:
            stack.enter_context(folder_lock(temporary))
        except LockUnsupportedError:
            return temporary
        except (BlockingIOError, FileNotFoundError):
            continue  # another process removed it as a leftover before it was locked
        if temporary.exists():
            return temporary


def _temporary_path(target: Path) -> Path:
    # Nobody can guess the name and plant a link there. It is cut to fit the file
    # system's limit.
    name = os.fsdecode(os.fsencode(target.name)[:200])
    return target.with_name(f".{name}.{secrets.token_hex(8)}.part")
