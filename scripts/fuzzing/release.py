"""The shipped model whose files are mutated."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcgan.zoo.release import Release

MODEL = "dcgan64-tiny"


@cache
def shipped_release() -> Release:
    """Returns the model."""
    from dcgan.zoo.repository import SHIPPED, find_release  # noqa: PLC0415

    return find_release(SHIPPED, MODEL)


def manifest_text() -> bytes:
    """Returns its manifest."""
    return (shipped_release().folder / "manifest.json").read_bytes()
