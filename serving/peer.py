"""The clients at the other end of connections, and the addresses that they share."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from dcgan.serving.address import join_address

_IPV6_PREFIX = 64  # bits that name a network; its hosts choose the rest at will


@dataclass(frozen=True, slots=True)
class Peer:
    """The client at the other end of a connection.

    Attributes:
        name: of the connection, e.g. "ipv4:127.0.0.1:50000".
        address: that the connection shares with others of the same host, or network of IPv6.
    """

    name: str
    address: str


LOCAL = Peer("local:", "local:")
"""The server itself."""


@lru_cache(maxsize=8192)
def find_peer(name: str) -> Peer:
    """Returns a client by the address and port of its connection, as gRPC names them."""
    return Peer(name, address_of(name))


def peer_of_socket(address: Sequence[Any]) -> Peer:
    """Returns a client by the address of its socket, as `getpeername` returns it."""
    return find_peer(name_peer(*address))


def name_peer(host: str, port: int, _flow: int = 0, scope: int = 0) -> str:
    """Returns the name that gRPC gives to the client at a socket address, except for its scheme.

    Args:
        host: numeric address.
        port: of the client.
        scope: number of the network interface of a link-local address of IPv6; 0 for others.
    """
    return f"ip:{join_address(f'{host}%{scope}' if scope else host, port)}"


def parse_peer(peer: str) -> tuple[str, str]:
    """Returns the IP address and the port of a peer.

    Args:
        peer: as gRPC names it, e.g. "ipv4:127.0.0.1:50000" or "ipv6:%5B::1%5D:50000".

    Returns:
        The address without brackets, as IPv4 where it is one, and the port. What is no address,
        such as "unix:", is returned as it is.
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return peer, ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address), port


def address_of(peer: str) -> str:
    """Returns the address that a peer shares with other connections of the same host.

    That of IPv6 is its network, because a host may have any number of addresses in it.
    """
    host, _ = parse_peer(peer)
    if ":" not in host or host == peer:
        return host
    return str(ipaddress.ip_network((host.partition("%")[0], _IPV6_PREFIX), strict=False))
