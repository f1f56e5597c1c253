"""The open connections of a port: a limit, and a share of it for each address."""

from __future__ import annotations

from collections.abc import Callable

from dcgan.serving.peer import Peer
from dcgan.serving.shares import Shares


class OpenConnections:
    """Admits connections, and closes idle ones when there is no room for another.

    An address with very many connections gets up to nine tenths of the limit; see `exceeds_share`.

    Args:
        limit: most connections at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = Shares()
        self._close: dict[str, Callable[[], None]] = {}  # by the name of the peer
        self._idle: dict[str, dict[str, Peer]] = {}  # by address and name, idle longest first

    def __len__(self) -> int:
        return len(self._close)

    def admit(self, peer: Peer, close: Callable[[], None]) -> bool:
        """Admits a connection, which is idle at first. Its `remove` must be called.

        Args:
            peer: client of the connection.
            close: closes it, to make room for another one.

        Returns:
            Whether it is admitted.
        """
        if self._held.exceeds(self._limit, peer, 1) and not self._close_idle(peer):
            return False

        self._held.add(peer, 1)
        self._close[peer.name] = close
        self.set_idle(peer)
        return True

    def set_idle(self, peer: Peer) -> None:
        """Records that a connection waits for its client from now on."""
        if peer.name in self._close:
            self._idle.setdefault(peer.address, {})[peer.name] = peer

    def set_busy(self, peer: Peer) -> None:
        """Records that the server works for a connection, so that it is not closed."""
        idle = self._idle.get(peer.address, {})
        if idle.pop(peer.name, None) and not idle:
            del self._idle[peer.address]

    def remove(self, peer: Peer) -> None:
        """Forgets a connection that is closed, or was not admitted."""
        self.set_busy(peer)
        if self._close.pop(peer.name, None):
            self._held.add(peer, -1)

    def _close_idle(self, newcomer: Peer) -> bool:
        """Closes the connection that is idle longest, of the address with most of them.

        An address does not make room for itself at the cost of one that holds less.

        Returns:
            Whether one was closed.
        """
        if not self._idle:
            return False
        idle = max(self._idle.values(), key=len)
        peer = next(iter(idle.values()))
        is_same = peer.address == newcomer.address
        if not is_same and self._held.of_address(peer) <= self._held.of_address(newcomer):
            return False

        close = self._close[peer.name]
        self.remove(peer)
        close()
        return True
