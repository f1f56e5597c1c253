"""Addresses to listen on."""

from __future__ import annotations

import socket

from dcgan.serving.errors import ServingError


def join_address(host: str, port: int) -> str:
    """Returns "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def check_host(host: str, option: str = "--host") -> None:
    """Checks that a host name can be resolved.

    Args:
        host: the name, or a numeric address.
        option: that the error names.

    Raises:
        ServingError: if it cannot.
    """
    try:
        socket.getaddrinfo(host.strip("[]"), None)
    except (OSError, UnicodeError):
        raise ServingError(
            f"host {host!r:.80} cannot be resolved; choose another {option}, e.g. 127.0.0.1"
        ) from None
