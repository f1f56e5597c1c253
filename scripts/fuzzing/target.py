"""A parser to fuzz, and what its promises are checked with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        seeds: returns valid inputs.
        run: parses an input; raises if the parser breaks a promise.
    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]

    def warm_up(self) -> list[bytes]:
        """Returns the valid inputs, after each has run: the first call imports much."""
        seeds = self.seeds()
        for data in seeds:
            self.run(data)
        return seeds


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Accepts errors whose messages are one printable line; others are findings."""
    try:
        yield
    except errors as error:
        message = str(error)
        if not message.isprintable() or len(message) > 2000:
            raise AssertionError(f"a message that cannot be shown: {message!r:.300}") from error


@contextmanager
def folder() -> Iterator[Path]:
    """Gives an empty folder, in memory if possible."""
    place = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="dcgan-fuzz-", dir=place) as name:
        yield Path(name)
