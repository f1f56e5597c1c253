"""From a model folder to a service, and the client of that service.

Public are `local`, and the packages `dcgan.serving.client` and `dcgan.serving.load_test` with the
names that they export; every other name may change in any release (docs/reference/python-api.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcgan.serving.local_server import local

__all__ = ["local"]


def __getattr__(name: str) -> object:
    """Loads `local` on use: the client needs no server."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from dcgan.serving.local_server import local  # noqa: PLC0415

    return local
