"""The cache folder: downloaded models and data sets, and other files that can be recreated."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dcgan.core.errors import CacheError


def cache_dir() -> Path:
    """Returns DCGAN_HOME, or `dcgan-zoo` in the user's cache folder (XDG_CACHE_HOME or ~/.cache).

    The folder may not exist yet. It holds `models`, `data`, `downloads` and `indexes`.

    Raises:
        CacheError: if the user has no home folder and no variable names another place.
    """
    chosen = os.environ.get("DCGAN_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan-zoo"
    except RuntimeError:  # HOME is unset, and the system does not know this user
        raise CacheError(
            "this user has no home folder; set DCGAN_HOME to a folder for downloads"
        ) from None


def private_folder(*parts: str) -> Path:
    """Creates a folder of the cache that only this user can write to.

    Args:
        parts: path of the folder below the cache.

    Returns:
        The folder, whose rights are 0700 if it was created by this call.

    Raises:
        CacheError: if it cannot be created, is a link or a file, or belongs to another user.
    """
    folder = cache_dir()
    _ensure_folder(folder, link_allowed=True)

    for part in parts:
        folder = folder / part
        _ensure_folder(folder, link_allowed=False)
    return folder


def _ensure_folder(folder: Path, *, link_allowed: bool) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            _check_folder(folder, link_allowed=link_allowed)
    except OSError as error:
        raise CacheError(
            f"cannot write to the cache {folder}: {error.strerror}; "
            "set DCGAN_HOME to another folder"
        ) from None


def _check_folder(folder: Path, *, link_allowed: bool) -> None:
    cure = "remove it, or set DCGAN_HOME to a folder of your own"
    status = folder.stat() if link_allowed else folder.lstat()

    if not stat.S_ISDIR(status.st_mode):
        raise CacheError(f"{folder} is in the path of the cache and is not a folder; {cure}")
    if status.st_uid != os.geteuid():
        raise CacheError(f"the cache folder {folder} belongs to another user; {cure}")
    if not link_allowed and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)
