"""Addresses to listen at."""

from __future__ import annotations

import socket

from dcgan.serving.api.errors import ServingError


def join_address(host: str, port: int) -> str:
    """Host and port as one word, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def check_host(host: str) -> None:
    """Checks that a host has an address.

    Raises:
        ServingError: if it has none.
    """
    try:
        socket.getaddrinfo(host.strip("[]"), None)
    except (OSError, UnicodeError):
        raise ServingError(
            f"there is no host {host!r:.80}; choose another --host, e.g. 127.0.0.1"
        ) from None
