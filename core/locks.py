"""Locks between processes, on files (flock); the system releases them when the process ends."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

from dcgan.core.errors import CacheError

logger = logging.getLogger(__name__)
# EBADF: of a folder on NFS, where only what is open for writing can be locked.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


class LockUnsupportedError(OSError):
    """The file system has no file locks, as is the case on some network disks."""


@contextmanager
def wait_for_lock(path: Path, purpose: str) -> Iterator[None]:
    """Holds an exclusive lock of the cache; waits while another process holds it, and says so.

    On a file system without locks it warns and continues. This is safe, because the files of the
    cache are written atomically; two processes may then do the same work twice.

    Args:
        path: of the lock file; it and its folder are created, and the file stays, empty.
        purpose: what the lock is for, as in "download the index".

    Raises:
        CacheError: if the file cannot be created.
    """
    try:
        file = _open(path)
    except OSError as error:
        raise CacheError(
            f"cannot write to the cache {path.parent}: {error.strerror}; "
            "set DCGAN_HOME to another folder"
        ) from None

    with file:
        try:
            _lock(file, path)
        except BlockingIOError:
            logger.warning("waiting for another process to %s (lock %s)", purpose, path)
            fcntl.flock(file, fcntl.LOCK_EX)
        except LockUnsupportedError as error:
            _warn_once(f"{error.strerror}; going on without a lock")
        yield


def try_lock(path: Path) -> BinaryIO:
    """Takes an exclusive lock without waiting.

    Args:
        path: of the lock file; it and its folder are created, and the file stays, empty.

    Returns:
        The open file; closing it releases the lock.

    Raises:
        BlockingIOError: if another process holds it.
        LockUnsupportedError: if the file system has no locks.
        OSError: if the file cannot be created.
    """
    file = _open(path)

    try:
        _lock(file, path)
    except OSError:
        file.close()
        raise
    return file


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock of a folder; does not wait for it.

    Raises:
        BlockingIOError: if another process holds it.
        LockUnsupportedError: if the file system has no locks.
        OSError: if there is no such folder, or it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return cast(BinaryIO, os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0))


def _lock(file: BinaryIO | int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            reason = f"the file system of {path.parent} has no file locks"
            raise LockUnsupportedError(error.errno, reason) from None
        raise
