"""What clients hold of the server: calls, streams and memory, by connection and by address."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

_SHARE = 4  # times what is free: the most that an address may hold
_FIRST_SHARE = 0.9  # of the limit: up to this, a connection that holds nothing is not refused
_IPV6_PREFIX = 64  # bits that name a network; its hosts choose the rest at will


class Usage:
    """What the calls of one connection, of one address, or of all clients hold.

    Attributes:
        calls: calls that are not over.
        streams: streams that are not over.
        unread_bytes: memory of replies that are not read yet.
    """

    __slots__ = ("calls", "streams", "unread_bytes")

    def __init__(self) -> None:
        self.calls = 0
        self.streams = 0
        self.unread_bytes = 0


class Connection(Usage):
    """What the calls of one connection hold.

    Args:
        peer: address and port of the client, e.g. "ipv4:127.0.0.1:50000".
        address: what all connections from the same address hold.
    """

    __slots__ = ("address", "peer")

    def __init__(self, peer: str, address: Usage) -> None:
        super().__init__()
        self.peer = peer
        self.address = address


def exceeds_share(limit: float, total: int, address: int, connection: int, amount: int) -> bool:
    """Returns whether a connection would hold too much with another amount.

    An address may hold four times what is free, and a connection what is left of that for its
    address. So one connection gets at most two thirds of the limit, one address at most four
    fifths, and there is room for a client that comes later. (Dynamic thresholds: Choudhury and
    Hahne, 1998, https://doi.org/10.1109/90.664262.)

    A connection that holds nothing is refused only if less than a tenth would be free, so that an
    address with very many connections gets up to nine tenths. An amount above the limit is allowed
    if nothing else is held.

    Args:
        limit: of what all clients hold.
        total: what all clients hold.
        address: what the connections from the same address hold.
        connection: what the connection holds.
        amount: to be added to all three.
    """
    if connection + address + 2 * amount <= _SHARE * (limit - total - amount):
        return False
    is_first = connection == 0 and total + amount <= _FIRST_SHARE * limit
    return total > 0 and not is_first


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
