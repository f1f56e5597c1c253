"""Limits on the number of connections and requests, on a listener in this process."""

import asyncio
import contextlib
import json

import pytest
from prometheus_client import CollectorRegistry

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.http import protocol
from tests.serving.http.listening import (
    GET,
    answered,
    listening,
    never_answer,
    say_ok,
    say_ok_after,
)


@pytest.mark.hostile("Too many HTTP connections", "refused; others are served")
async def test_too_many_connections_are_refused(connect):
    release = asyncio.Event()

    registry = CollectorRegistry()
    limits = {"registry": registry, "max_connections": 20}
    async with listening(say_ok_after(release), **limits) as (listener, in_flight):
        busy = [await connect(listener) for _ in range(18)]  # an address gets nine tenths
        for _, writer in busy:
            writer.write(GET)
        while in_flight.calls.total < 18:
            await asyncio.sleep(0.005)
        reader, _ = await connect(listener)
        answer = await asyncio.wait_for(reader.read(), 60)
        assert b" 503 " in answer
        assert b"retry-after: 1" in answer
        assert answered(registry) == {"503": 1}

        other, writer = await connect(listener, "127.0.0.2")
        writer.write(GET)
        release.set()
        for reader in (other, *(reader for reader, _ in busy)):
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)


@pytest.mark.hostile("Idle HTTP connections in all places", "those idle longest are closed")
async def test_the_connection_idle_longest_makes_room(connect):
    ages = {"idle_timeout_s": 3600.0, "header_timeout_s": 3600.0}
    async with listening(say_ok, max_connections=3, **ages) as (listener, _):
        used = await connect(listener)
        used[1].write(GET)
        await used[0].readuntil(b"ok")
        half_sent = await connect(listener)
        half_sent[1].write(b"GET / HTTP/1.1\r\n")
        for reader in (used[0], half_sent[0]):
            newcomer = await connect(listener)
            newcomer[1].write(GET)
            assert b" 200 " in await asyncio.wait_for(newcomer[0].readuntil(b"\r\n"), 60)
            assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_a_client_that_leaves_gives_its_place_back(connect):
    async with listening(never_answer, max_connections=3) as (listener, in_flight):
        for _ in range(3):  # two at a time are the share of an address
            busy = [await connect(listener) for _ in range(2)]
            for _, writer in busy:
                writer.write(GET)
            while in_flight.calls.total < 2:
                await asyncio.sleep(0.005)
            for _, writer in busy:
                writer.transport.abort()
            await asyncio.wait_for(in_flight.wait_until_idle(), 60)
        assert len(listener._server.config.http.places) == 0


@pytest.mark.hostile("Many HTTP requests at once from one address", "refused above its share")
async def test_requests_above_the_share_of_their_address_are_refused(connect):
    release = asyncio.Event()

    limited = InFlight(CallLimits(max_calls=9))
    async with listening(say_ok_after(release), limited) as (listener, in_flight):
        waiting = [await connect(listener) for _ in range(8)]
        for _, writer in waiting:
            writer.write(GET)
        while in_flight.calls.total < 8:
            await asyncio.sleep(0.005)

        reader, writer = await connect(listener)
        writer.write(GET)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 60)
        assert b" 429 " in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "TOO_MANY_CALLS"

        release.set()
        for reader, _ in waiting:
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"ok"), 60)


@pytest.mark.hostile("A flood of HTTP connections in all places", "closed at once, and counted")
async def test_a_flood_of_refused_connections_holds_no_files_and_is_counted(connect, monkeypatch):
    registry = CollectorRegistry()
    monkeypatch.setattr(protocol, "_MAX_LINGERING", 1)
    monkeypatch.setattr(protocol, "_LINGER_S", 3600.0)

    limits = {"registry": registry, "max_connections": 1}
    async with listening(never_answer, **limits) as (listener, in_flight):
        _, writer = await connect(listener)
        writer.write(GET)
        while not in_flight.calls.total:
            await asyncio.sleep(0.005)
        refused, _ = await connect(listener)
        assert b" 503 " in await asyncio.wait_for(refused.readuntil(b"\r\n"), 60)
        for _ in range(20):
            reader, _ = await connect(listener)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 60) == b""
        assert answered(registry) == {"503": 21}
