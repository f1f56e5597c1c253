"""Limits on gRPC connections, which are closed through their sockets."""

import asyncio
from contextlib import ExitStack

import pytest

from dcgan.serving.api import listener
from dcgan.serving.api.sockets import close_idle_connections
from tests.serving.api.hosting import until
from tests.serving.http2_peer import Peer


def is_disconnected_at_once(target: str) -> bool:
    """Connects; whether the server ends the connection, before or after it has read a frame."""
    try:
        with Peer(target) as peer:
            return peer.is_disconnected()
    except ConnectionError:
        return True


@pytest.mark.hostile(
    "Thousands of idle gRPC connections",
    "above a limit they are closed at once; HTTP and metrics keep their files",
)
async def test_connections_above_the_limit_are_closed_at_once(hosting, monkeypatch):
    monkeypatch.setattr(listener, "raise_file_limit", lambda: 8)
    async with hosting() as host:
        with Peer(host.target) as first, Peer(host.target) as second:
            assert await asyncio.to_thread(first.ping)
            assert await asyncio.to_thread(second.ping)
            assert await asyncio.to_thread(is_disconnected_at_once, host.target)
            assert await asyncio.to_thread(second.ping)


@pytest.mark.hostile(
    "Idle gRPC connections of one address in all places",
    "closed above its share; others and those with calls stay",
)
async def test_idle_connections_above_the_share_of_an_address_are_closed(hosting):
    async with hosting() as host:
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(host.target)) for _ in range(10)]
            other = stack.enter_context(Peer(host.target, source="127.0.0.2"))
            for peer in (*peers, other):
                assert await asyncio.to_thread(peer.ping)
            for peer in peers[:7]:
                peer.begin(1)
            await until(lambda: host.in_flight.calls.total == 7)
            busy = host.in_flight.calls.names()

            assert close_idle_connections(host.port, 14, busy) == 0  # 10 are less than 4 x 3
            assert close_idle_connections(host.port, 12, busy) == 2
            left = [await asyncio.to_thread(is_connected, peer) for peer in (*peers, other)]
            assert (sum(left), left[:7], left[-1]) == (9, [True] * 7, True)
            assert close_idle_connections(host.port, 9, busy) == 1  # no more are idle


def is_connected(peer: Peer) -> bool:
    try:
        return peer.ping()
    except (AssertionError, ConnectionError):
        return False
