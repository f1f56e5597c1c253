"""Where this project keeps what it downloads or can make again."""

from __future__ import annotations

import os
from pathlib import Path

from dcgan.core.errors import DcganError


def cache_dir() -> Path:
    """DCGAN_HOME, or dcgan-zoo in the user's cache folder (XDG_CACHE_HOME, ~/.cache). It may not exist yet.

    Models lie in its folder `models`, data sets in `data`.

    Raises:
        DcganError: if there is no such place.
    """
    chosen = os.environ.get("DCGAN_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan-zoo"
    except RuntimeError:  # HOME is unset, and this user has no entry in the system's list
        raise DcganError(
            "this user has no home folder; set DCGAN_HOME to a folder for what is downloaded"
        ) from None
