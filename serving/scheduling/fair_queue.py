"""A queue at which clients take turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from dcgan.serving.peer import Peer

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of clients: addresses take turns, and in those the connections of an address.

    Args:
        quantum: what an address may spend in one turn, e.g. a number of images.
    """

    def __init__(self, quantum: int = 1) -> None:
        self._quantum = quantum
        self._spent = 0  # in the current turn
        # Items by address, connection and identity; in each, the next turn comes first.
        self._addresses: OrderedDict[str, OrderedDict[str, OrderedDict[int, T]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._addresses)

    def __iter__(self) -> Iterator[T]:
        for connections in self._addresses.values():
            for items in connections.values():
                yield from items.values()

    def push(self, peer: Peer, item: T) -> None:
        """Adds an item behind those of the same connection."""
        connections = self._addresses.setdefault(peer.address, OrderedDict())
        items = connections.setdefault(peer.name, OrderedDict())
        items[id(item)] = item

    def first(self) -> T:
        """Returns the item whose turn it is."""
        connections = next(iter(self._addresses.values()))
        items = next(iter(connections.values()))
        return next(iter(items.values()))

    def advance(self, spent: int, *, is_done: bool) -> None:
        """Ends the turn of the first item, and that of its address if its quantum is spent.

        Args:
            spent: by the item.
            is_done: whether the item leaves; if not, it goes behind those of its connection.
        """
        address, connections = next(iter(self._addresses.items()))
        connection, items = next(iter(connections.items()))
        key = next(iter(items))
        if is_done:
            self._remove(address, connection, key)
        else:
            items.move_to_end(key)

        if not connections:
            return
        if connection in connections:
            connections.move_to_end(connection)
        self._spent += spent
        if self._spent >= self._quantum:
            self._addresses.move_to_end(address)
            self._spent = 0

    def pop(self) -> T:
        """Removes the first item, which spends 1, and returns it."""
        item = self.first()
        self.advance(1, is_done=True)
        return item

    def remove(self, peer: Peer, item: T) -> bool:
        """Removes an item. Returns whether it was there."""
        connections = self._addresses.get(peer.address)
        items = connections.get(peer.name) if connections else None
        if not items or id(item) not in items:
            return False
        self._remove(peer.address, peer.name, id(item))
        return True

    def _remove(self, address: str, connection: str, key: int) -> None:
        connections = self._addresses[address]
        items = connections[connection]
        del items[key]
        if not items:
            del connections[connection]
        if not connections:
            if address == next(iter(self._addresses)):
                self._spent = 0
            del self._addresses[address]
