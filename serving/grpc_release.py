"""The release of grpcio that the server runs on."""

from __future__ import annotations

import grpc

from dcgan.serving.errors import ServingError

RELEASE = "1.85"
"""Its private classes are extended in `api/accept_loop.py`, so no other release will do."""


def check_grpc_release(version: str = grpc.__version__) -> None:
    """Checks the release of grpcio, before modules are imported that only work with one.

    Args:
        version: that is installed.

    Raises:
        ServingError: if it is another release.
    """
    if not version.startswith(f"{RELEASE}."):
        raise ServingError(
            f"grpcio {version} is installed, but the server extends private parts of release "
            f"{RELEASE}; install dcgan-zoo[serve] again, or grpcio~={RELEASE}.1"
        )
