"""Where this project keeps what it downloads or can make again."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """DCGAN_HOME, or dcgan-zoo in the user's cache folder (XDG_CACHE_HOME, ~/.cache). It may not exist yet.

    Models lie in its folder `models`, data sets in `data`.
    """
    chosen = os.environ.get("DCGAN_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan-zoo"
