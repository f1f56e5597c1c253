"""What clients hold of something limited: in total, by address and by connection."""

from __future__ import annotations

from dcgan.serving.peer import Peer

_SHARE = 4  # times what is free: the most that an address may hold
_FIRST_SHARE = 0.9  # of the limit: up to this, a connection that holds nothing is not refused


class Shares:
    """An amount that clients hold, e.g. the number of their calls.

    Attributes:
        total: what all clients hold.
    """

    __slots__ = ("_addresses", "_connections", "total")

    def __init__(self) -> None:
        self.total = 0
        self._addresses: dict[str, int] = {}
        self._connections: dict[str, dict[str, int]] = {}  # by address and connection

    def add(self, peer: Peer, amount: int) -> None:
        """Adds to what a client holds; a negative amount gives back."""
        self.total += amount
        connections = self._connections.setdefault(peer.address, {})
        _add(connections, peer.name, amount)
        _add(self._addresses, peer.address, amount)
        if not connections:
            del self._connections[peer.address]

    def exceeds(self, limit: float, peer: Peer, amount: int, *, is_held: bool = False) -> bool:
        """Returns whether a client holds too much with an amount; see `exceeds_share`.

        Args:
            limit: of what all clients hold.
            peer: the client.
            amount: that it wants to hold.
            is_held: whether the amount was added before.
        """
        added = amount if is_held else 0
        address = self.of_address(peer) - added
        connection = self.of_connection(peer) - added
        return exceeds_share(limit, self.total - added, address, connection, amount)

    def of_address(self, peer: Peer) -> int:
        """Returns what all connections from the address of a client hold."""
        return self._addresses.get(peer.address, 0)

    def of_connection(self, peer: Peer) -> int:
        """Returns what a client holds."""
        return self._connections.get(peer.address, {}).get(peer.name, 0)

    def amount_until(self, peer: Peer, amount: int, quantum: int) -> int:
        """Returns how much all clients get of what waits until one of them has got an amount.

        Addresses take turns, and so do the connections of each.

        Args:
            peer: the client.
            amount: that it waits for, what it holds included.
            quantum: the most that a client gets in one turn.
        """
        connections = self._connections.get(peer.address, {})
        siblings = len(connections) - (peer.name in connections)
        held = self.of_address(peer) - self.of_connection(peer)
        amount += min(held, siblings * _round_up(amount, quantum))

        others = len(self._addresses) - (peer.address in self._addresses)
        held = self.total - self.of_address(peer)
        return amount + min(held, others * _round_up(amount, quantum))


def queue_room(limit: int) -> float:
    """Returns the room of a queue for all clients, of which one connection gets `limit`.

    So one client alone may fill the queue, and there is room for others beside it.
    """
    return 1.5 * limit


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


def _round_up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit


def _add(held: dict[str, int], key: str, amount: int) -> None:
    """Adds to what is held under a key, which is removed when nothing is left."""
    left = held.get(key, 0) + amount
    if left:
        held[key] = left
    else:
        held.pop(key, None)
