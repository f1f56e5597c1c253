"""The sockets under a gRPC server, which itself cannot close a connection."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Collection, Iterator

from dcgan.serving.file_limit import count_open_files
from dcgan.serving.peer import address_of, name_peer, parse_peer
from dcgan.serving.shares import SHARE


def disconnect_clients(port: int) -> None:
    """Closes the port and its connections before the server stops: clients see UNAVAILABLE.

    A gRPC server that is stopped resets the calls that have just arrived, and their clients see a
    bare CANCELLED (grpc/grpc#37239). It has no other way to close its port, so this shuts the
    sockets down underneath it. Where there is no /proc, it does nothing.

    Args:
        port: of the server.
    """
    # Close the port first, so that no client reconnects.
    for wanted in (True, False):
        for each in _open_sockets(port):
            with contextlib.suppress(OSError):  # the client has closed it
                is_listening = bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if is_listening == wanted:
                    each.shutdown(socket.SHUT_RDWR)


def disconnect_peers(port: int, peers: Collection[str]) -> int:
    """Closes the connections of some clients, whose calls end.

    gRPC cannot end a call whose client does not read, nor close a connection. Where there is no
    /proc, this does nothing.

    Args:
        port: of the server.
        peers: the clients, as gRPC names them.

    Returns:
        The number of connections that were closed.
    """
    wanted = {parse_peer(peer) for peer in peers}
    closed = 0
    for each in _open_sockets(port):
        with contextlib.suppress(OSError):  # it listens, or the client has closed it
            if parse_peer(name_peer(*each.getpeername())) in wanted:
                each.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def close_idle_connections(port: int, limit: int, busy: Collection[str]) -> int:
    """Closes idle connections of addresses that have more than their share.

    An address may have four times as many connections as are free, as in `exceeds_share`, or a
    tenth of the limit. gRPC itself only knows a limit of all connections, above which it refuses
    new ones. Where there is no /proc, this does nothing.

    Args:
        port: of the server.
        limit: most connections at once.
        busy: the clients that have calls, as gRPC names them; they are not disconnected.

    Returns:
        The number of connections that were closed.
    """
    if count_open_files() <= limit / 2:
        return 0  # and spare the look at every file

    names: dict[str, list[str]] = {}
    for each in _open_sockets(port):
        with contextlib.suppress(OSError):  # it listens, or the client has closed it
            name = name_peer(*each.getpeername())
            names.setdefault(address_of(name), []).append(name)

    free = limit - sum(map(len, names.values()))
    working = {parse_peer(name) for name in busy}
    excess: set[str] = set()
    for of_address in sorted(names.values(), key=len, reverse=True):
        if len(of_address) <= max(SHARE * free, limit / 10):
            break
        # Each connection that is closed lets the address have four others.
        number = -(-(len(of_address) - SHARE * free) // (SHARE + 1))
        idle = [name for name in of_address if parse_peer(name) not in working]
        excess.update(idle[:number])
        free += len(idle[:number])
    return disconnect_peers(port, excess) if excess else 0


def _open_sockets(port: int) -> Iterator[socket.socket]:
    """Yields duplicates of the internet sockets of a port."""
    for number in _socket_numbers():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as each:
            is_internet = each.family in (socket.AF_INET, socket.AF_INET6)
            if is_internet and each.getsockname()[1] == port:
                yield each


def _socket_numbers() -> list[int]:
    """Returns the file descriptors that are sockets."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []

    found = []
    for number in numbers:
        with contextlib.suppress(OSError):  # it was closed
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                found.append(number)
    return found
