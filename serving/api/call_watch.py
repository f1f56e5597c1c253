"""Ends the calls whose clients take too long, and closes idle connections above a share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from dcgan.serving.api.errors import CallTimeoutError, ReplyTimeoutError, RequestTimeoutError
from dcgan.serving.api.in_flight import Call, InFlight
from dcgan.serving.api.listener import max_connections
from dcgan.serving.api.sockets import close_idle_connections, disconnect_peers
from dcgan.serving.file_limit import raise_file_limit
from dcgan.serving.observability.metrics import Metrics

_INTERVAL_S = 1.0

logger = logging.getLogger(__name__)


async def watch_port(in_flight: InFlight, port: int, metrics: Metrics) -> None:
    """Ends calls that take too long, and closes connections, until it is cancelled.

    Args:
        in_flight: the calls.
        port: of gRPC.
        metrics: of the server.
    """
    most = max_connections(raise_file_limit())

    def report(closed: int, kind: str) -> None:
        metrics.dropped.inc(closed)
        if closed:
            logger.warning("closed %s %s", closed, kind)

    def disconnect(peers: Collection[str]) -> None:
        report(disconnect_peers(port, peers), "connections whose clients do not read")

    def close_idle(busy: Collection[str]) -> None:
        closed = close_idle_connections(port, most, busy)
        report(closed, "idle connections above the share of their address")

    await watch_calls(in_flight, disconnect, close_idle)


async def watch_calls(
    in_flight: InFlight,
    disconnect: Callable[[Collection[str]], None],
    close_idle: Callable[[Collection[str]], None],
    interval_s: float = _INTERVAL_S,
) -> None:
    """Ends calls that take too long, until it is cancelled.

    Args:
        in_flight: the calls.
        disconnect: closes the connections to peers; it is called on a thread.
        close_idle: closes connections above the share of their address, except those to peers with
            calls; it is called on a thread.
        interval_s: time between two looks at the calls.
    """
    while True:
        await asyncio.sleep(interval_s)
        if stuck := end_late_calls(in_flight):
            await asyncio.to_thread(disconnect, stuck)
        await asyncio.to_thread(close_idle, in_flight.calls.names())


def end_late_calls(in_flight: InFlight) -> set[str]:
    """Answers the calls that take too long with an error.

    Returns:
        The peers that do not read what is committed; only closing their connections ends the calls.
    """
    now = in_flight.clock()
    limits = in_flight.limits
    least_s = min(limits.arrival_timeout_s, limits.read_timeout_s, limits.max_call_s)
    stuck = set()

    for call in in_flight.timed:
        if now - call.began <= least_s:
            break  # those that follow are younger
        if not call.is_committed:
            _expire_if_late(call, in_flight, now)
        elif call.has_not_read(now):
            stuck.add(call.peer.name)
    return stuck


def _expire_if_late(call: Call, in_flight: InFlight, now: float) -> None:
    limits = in_flight.limits
    if not call.has_arrived and now - call.began > limits.arrival_timeout_s:
        call.expire(RequestTimeoutError(limits.arrival_timeout_s))
    elif call.has_not_read(now):
        call.expire(ReplyTimeoutError(limits.read_timeout_s))
    elif now - call.began > limits.max_call_s:
        call.expire(CallTimeoutError(limits.max_call_s))
