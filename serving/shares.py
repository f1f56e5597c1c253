"""What clients hold of something limited: in total, by address and by connection."""

from __future__ import annotations

from dcgan.serving.peer import Peer

SHARE = 4  # times what is free: the most that an address may hold
_FIRST_SHARE = 0.9  # of the limit: up to this, a connection that holds nothing is not refused


class Shares:
    """An amount that clients hold, e.g. the number of their calls.

    Attributes:
        total: what all clients hold.
    """

    __slots__ = ("_addresses", "_connections", "_numbers", "total")

    def __init__(self) -> None:
        self.total = 0
        self._addresses: dict[str, int] = {}
        self._connections: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # of connections that hold something, by address

    def add(self, peer: Peer, amount: int) -> None:
        """Adds to what a client holds; a negative amount gives back."""
        address = peer.address
        held = self._connections.get(peer.name, 0)
        left = held + amount
        self.total += amount
        self._connections[peer.name] = left
        self._addresses[address] = self._addresses.get(address, 0) + amount

        # Count the connections, and forget what holds nothing.
        if left and not held:
            self._numbers[address] = self._numbers.get(address, 0) + 1
        if not left:
            self._forget(peer, was_held=held != 0)

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

    def names(self) -> list[str]:
        """Returns the names of the connections that hold something."""
        return list(self._connections)

    def of_address(self, peer: Peer) -> int:
        """Returns what all connections from the address of a client hold."""
        return self._addresses.get(peer.address, 0)

    def of_connection(self, peer: Peer) -> int:
        """Returns what a client holds."""
        return self._connections.get(peer.name, 0)

    def amount_until(self, peer: Peer, amount: int, quantum: int) -> int:
        """Returns how much all clients get of what waits until one of them has got an amount.

        Addresses take turns, and so do the connections of each.

        Args:
            peer: the client.
            amount: that it waits for, what it holds included.
            quantum: the most that a client gets in one turn.
        """
        siblings = self._numbers.get(peer.address, 0) - (peer.name in self._connections)
        held = self.of_address(peer) - self.of_connection(peer)
        amount += min(held, siblings * _round_up(amount, quantum))

        others = len(self._addresses) - (peer.address in self._addresses)
        held = self.total - self.of_address(peer)
        return amount + min(held, others * _round_up(amount, quantum))

    def _forget(self, peer: Peer, *, was_held: bool) -> None:
        del self._connections[peer.name]
        number = self._numbers.get(peer.address, 0) - was_held
        if number:
            self._numbers[peer.address] = number
        else:
            self._numbers.pop(peer.address, None)
            del self._addresses[peer.address]


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
    if connection + address + 2 * amount <= SHARE * (limit - total - amount):
        return False
    is_first = connection == 0 and total + amount <= _FIRST_SHARE * limit
    return total > 0 and not is_first


def _round_up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit
