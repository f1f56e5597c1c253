"""Reading untrusted files whole: only regular ones, and only up to a size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Reads a whole file.

    Args:
        path: of the file; links are followed.
        max_bytes: size up to which it is read.

    Raises:
        OSError: if it cannot be read, is larger, or is a FIFO, a device or a folder; `strerror`
            says why.
    """
    # Without O_NONBLOCK, opening a FIFO waits for a writer.
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:
        # Another process holds a lease, which only regular files have: wait until it gives way.
        descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))

    with os.fdopen(descriptor, "rb") as file:
        # Count what is read: the size may change meanwhile.
        data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise OSError(errno.EFBIG, f"it has over {_in_words(max_bytes)}", str(path))
        return data


def _in_words(size: int) -> str:
    return f"{size // 2**20} MiB" if size >= 2**20 else f"{size} bytes"
