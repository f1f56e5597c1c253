"""Files that commands write for their users: whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dcgan.core.atomic import is_special, replacing
from dcgan.core.errors import DcganError


class OutputError(DcganError):
    """A file or folder that cannot be written."""


def write_output(out: Path, option: str, data: bytes) -> None:
    """Writes a file atomically into a folder that exists.

    Raises:
        OutputError: if it cannot be written; the message names the option.
    """
    with explaining(out, option), replacing(out) as temporary:
        temporary.write_bytes(data)


def check_writable(out: Path, option: str) -> None:
    """Checks that a file can be written, before the work whose result it is to hold.

    Raises:
        OutputError: if it cannot be written or is a folder; the message names the option.
    """
    if is_special(out):  # written into, not replaced
        return

    with explaining(out, option):
        with suppress(FileNotFoundError):
            out.stat()  # fails if the name is too long
        if out.is_dir():
            raise OutputError(f"{str(out)!r:.100} is a folder; name a file for {option}")
        tempfile.TemporaryFile(dir=out.parent).close()


@contextmanager
def explaining(out: Path, option: str) -> Iterator[None]:
    """Turns an OSError into an OutputError that names the file and the option."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        problem = f"cannot write {str(out)!r:.100}: {reason}"
        raise OutputError(f"{problem}; name another {option}") from None
