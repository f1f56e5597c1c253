"""The shipped models whose files are mutated."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcgan.zoo.release import Release

MODEL = "dcgan64-tiny"
INT8_MODEL = "digits"


@cache
def shipped_release(name: str = MODEL) -> Release:
    """Returns a model."""
    from dcgan.zoo.repository import SHIPPED, find_release  # noqa: PLC0415

    return find_release(SHIPPED, name)


def manifest_text() -> bytes:
    """Returns its manifest."""
    return (shipped_release().folder / "manifest.json").read_bytes()
