"""The limit of open files, which every connection counts against."""

from __future__ import annotations

import contextlib
import os
import resource

_ENOUGH = 65_536


def count_open_files() -> int:
    """Returns the number of open files of this process; 0 where there is no /proc."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def raise_file_limit() -> int:
    """Raises the limit of open files of this process as far as permitted; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
