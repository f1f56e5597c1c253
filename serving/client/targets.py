"""Addresses of servers: parsing a target, and resolving the names in a list of servers.

gRPC resolves a single address itself, again and again. Of a list it takes only numeric addresses,
so the names in a list are resolved here, as often as gRPC would.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from dataclasses import dataclass

import grpc

from dcgan.core.text import is_utf8
from dcgan.serving.client.errors import UnreachableError

DEFAULT_TARGET = "127.0.0.1:8001"

_REFRESH_S = 30.0  # as the DNS resolver of gRPC: dns_min_time_between_resolutions_ms
_REFRESH_AFTER_FAILURE_S = 1.0
# Schemes of gRPC's own resolvers. Source: https://github.com/grpc/grpc/blob/master/doc/naming.md
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
_PORT = re.compile(r"[0-9]{1,5}")
_LOCAL = ("localhost:", "unix:", "unix-abstract:")


@dataclass(frozen=True)
class HostPort:
    """An address of a server.

    Attributes:
        host: name or numeric address, without brackets.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def address(self) -> str:
        """Both together, as gRPC takes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_numeric(self) -> bool:
        """Whether the host is a numeric address."""
        try:
            ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return False
        return True


class TargetResolver:
    """Turns a target into what gRPC takes. It may be shared between threads.

    Args:
        target: `host:port`, several of these with commas between them, or any URI that gRPC takes.

    Raises:
        UnreachableError: if it is not a target.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._servers = parse_target(target)
        self._lock = threading.Lock()
        self._resolved: str | None = None
        self._resolved_at = 0.0
        self._refreshing = False
        self._static = True

        if not self._servers:
            self._resolved = target.strip()
        elif all(server.is_numeric for server in self._servers):
            self._resolved = resolve_servers(self._servers)
        else:
            self._static = False

    def current(self) -> str | None:
        """Returns the newest known result, without waiting; None before the first `resolve`.

        An old result is refreshed in the background.
        """
        self._refresh_if_older(_REFRESH_S)
        return self._resolved

    def resolve(self) -> str:
        """Resolves the names, which may take seconds.

        Raises:
            UnreachableError: if none of the names has an address.
        """
        if self._static and self._resolved is not None:
            return self._resolved
        resolved = resolve_servers(self._servers)
        if resolved is None:
            cure = "check the names, and the name server"
            raise UnreachableError(
                f"none of {self._target} has an address; {cure}", grpc.StatusCode.UNAVAILABLE
            )

        self._store(resolved)
        return resolved

    def report_failure(self) -> None:
        """Refreshes the addresses soon, because no server answered at the ones that are known."""
        self._refresh_if_older(_REFRESH_AFTER_FAILURE_S)

    def _refresh_if_older(self, age_s: float) -> None:
        with self._lock:
            fresh = time.monotonic() - self._resolved_at < age_s
            if self._static or self._resolved is None or self._refreshing or fresh:
                return
            self._refreshing = True
        # A daemon thread: a name server that does not answer must not delay the end of the process.
        threading.Thread(target=self._refresh, name="dcgan-resolve", daemon=True).start()

    def _refresh(self) -> None:
        self._store(resolve_servers(self._servers))

    def _store(self, resolved: str | None) -> None:
        with self._lock:
            self._resolved = resolved or self._resolved
            self._resolved_at = time.monotonic()
            self._refreshing = False


def is_local(target: str) -> bool:
    """Returns whether every server of a target is on this machine."""
    return all(_is_local(address.strip()) for address in target.split(","))


def parse_target(target: str) -> tuple[HostPort, ...]:
    """Splits a list of servers.

    Args:
        target: `host:port`, several of these with commas between them, or any URI that gRPC takes.

    Returns:
        The servers of a list; empty if gRPC takes the target as it is.

    Raises:
        UnreachableError: if it is empty, is a URL, is not valid UTF-8, or one of several is not
            `host:port`.
    """
    target = target.strip()
    if not is_utf8(target):
        raise _no_address(target)
    if target.startswith(_SCHEMES):
        return ()

    addresses = [address.strip() for address in target.split(",")]
    for address in addresses:
        if not address or "://" in address:
            raise _no_address(address)

    if len(addresses) == 1:
        return ()
    return tuple(_parse_address(address) for address in addresses)


def resolve_servers(servers: tuple[HostPort, ...]) -> str | None:
    """Resolves servers to one target of numeric addresses, for gRPC.

    Names without an address are left out.

    Returns:
        E.g. "ipv4:127.0.0.1:8001,127.0.0.1:8002", or "ipv6:..." if one of them is IPv6; None if
        no name has an address.
    """
    found: dict[tuple[bool, str, int], None] = {}  # a dict keeps the order and drops repetitions
    for server in servers:
        try:
            infos = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        # Name servers rotate the addresses; another order must not look like other servers.
        for family, _, _, _, address in sorted(infos):
            found[family == socket.AF_INET6, str(address[0]), server.port] = None
    if not found:
        return None

    if not any(is_ipv6 for is_ipv6, _, _ in found):
        return "ipv4:" + ",".join(f"{host}:{port}" for _, host, port in found)
    # A gRPC target has one family, so IPv4 addresses become mapped ones (RFC 4291, 2.5.5.2).
    hosts = [(host if is_ipv6 else f"::ffff:{host}", port) for is_ipv6, host, port in found]
    return "ipv6:" + ",".join(f"[{host}]:{port}" for host, port in hosts)


def _is_local(address: str) -> bool:
    if address.startswith(_LOCAL):
        return True
    # Only a numeric host is known to be here: a name such as 127.example.com may lead anywhere.
    host = address.rpartition(":")[0] or address
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _parse_address(address: str) -> HostPort:
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _no_address(address)
    if not host or not _PORT.fullmatch(port) or int(port) > 65535:
        raise _no_address(address)
    return HostPort(host, int(port))


def _no_address(address: str) -> UnreachableError:
    cure = "name it as host:port"
    if address.startswith("https://"):
        cure += ", and ask for TLS with tls=True (--tls)"
    return UnreachableError(
        f"{address!r:.80} is not an address of a server; {cure}", grpc.StatusCode.UNAVAILABLE
    )
