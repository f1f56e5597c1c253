"""The open connections of a port: a limit, and a share of it for each address."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from dcgan.serving.peer import Peer
from dcgan.serving.shares import Shares


class OpenConnections:
    """Admits connections, and closes idle ones when there is no room for another.

    An address with very many connections gets up to nine tenths of the limit; see `exceeds_share`.

    A connection is any object that stands for this one alone. Its address and port do not: a client
    may use them again before the end of its old connection is noticed.

    Args:
        limit: most connections at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = Shares()
        self._places: dict[Hashable, _Place] = {}
        self._idle: dict[str, dict[Hashable, None]] = {}  # by address, idle longest first

    def __len__(self) -> int:
        return len(self._places)

    def admit(self, connection: Hashable, peer: Peer, close: Callable[[], None]) -> bool:
        """Admits a connection, which is idle at first. Its `remove` must be called.

        Args:
            connection: not admitted yet.
            peer: client of the connection.
            close: closes it, to make room for another one.

        Returns:
            Whether it is admitted.
        """
        if self._held.exceeds(self._limit, peer, 1) and not self._close_idle(peer):
            return False

        self._held.add(peer, 1)
        self._places[connection] = _Place(peer, close)
        self.set_idle(connection)
        return True

    def set_idle(self, connection: Hashable) -> None:
        """Records that a connection waits for its client from now on."""
        place = self._places.get(connection)
        if place is not None:
            self._idle.setdefault(place.peer.address, {})[connection] = None

    def set_busy(self, connection: Hashable) -> None:
        """Records that the server works for a connection, so that it is not closed."""
        place = self._places.get(connection)
        if place is None:
            return
        idle = self._idle.get(place.peer.address, {})
        if connection in idle:
            del idle[connection]
            if not idle:
                del self._idle[place.peer.address]

    def remove(self, connection: Hashable) -> None:
        """Forgets a connection that is closed, or was not admitted."""
        self.set_busy(connection)
        place = self._places.pop(connection, None)
        if place is not None:
            self._held.add(place.peer, -1)

    def _close_idle(self, newcomer: Peer) -> bool:
        """Closes the connection that is idle longest, of the address with most of them.

        An address does not make room for itself at the cost of one that holds less.

        Returns:
            Whether one was closed.
        """
        if not self._idle:
            return False
        idle = max(self._idle.values(), key=len)
        connection = next(iter(idle))
        place = self._places[connection]
        is_same = place.peer.address == newcomer.address
        if not is_same and self._held.of_address(place.peer) <= self._held.of_address(newcomer):
            return False

        self.remove(connection)
        place.close()
        return True


@dataclass(frozen=True)
class _Place:
    """The place of a connection: its client, and what closes it."""

    peer: Peer
    close: Callable[[], None]
