"""Time limits with short times, on a listener in this process."""

import asyncio
import contextlib
import json

import pytest
from prometheus_client import CollectorRegistry

from dcgan.serving.http.response import Response
from tests.serving.http.listening import GET, answered, listening, say_ok


@pytest.mark.hostile("HTTP requests whose head never ends", "cut off")
async def test_a_head_that_never_ends_is_cut_off(connect):
    registry = CollectorRegistry()
    async with listening(say_ok, registry=registry, header_timeout_s=0.5) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\n")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"X-Slow: loris\r\n")
            await asyncio.sleep(0.02)
        answer = reading.result()
        assert b" 408 " in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "HEADER_TIMEOUT"
    assert answered(registry) == {"408": 1}


async def test_a_silent_connection_is_closed(connect):
    async with listening(say_ok, header_timeout_s=0.05) as (listener, _):
        reader, _ = await connect(listener)
        assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_an_idle_connection_is_closed_even_if_it_sends_blank_lines(connect):
    async with listening(say_ok, idle_timeout_s=0.1) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"\r\n")
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):  # a blank line met the closed connection
            assert reading.result() == b""


@pytest.mark.hostile("HTTP clients that do not read", "counted and dropped")
async def test_a_response_that_is_not_read_is_counted_and_dropped(connect):
    async def say_much(_) -> Response:
        return Response(200, bytes(2**26))

    async with listening(say_much, read_timeout_s=0.2) as (listener, in_flight):
        reader, writer = await connect(listener)
        writer.write(GET)
        while not in_flight.unread_bytes.total:
            await asyncio.sleep(0.005)
        assert in_flight.unread_bytes.total == 2**26
        await asyncio.wait_for(in_flight.wait_until_idle(), 60)
        assert in_flight.unread_bytes.total == 0
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**20):
                pass


@pytest.mark.slow
async def test_a_client_that_does_not_even_read_the_head_is_dropped(connect):
    async def say_much(_) -> Response:
        return Response(200, b"", {"x-long": "a" * 2**26})

    async with listening(say_much, read_timeout_s=0.2) as (listener, in_flight):
        reader, writer = await connect(listener)
        writer.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(1)
        await asyncio.wait_for(in_flight.wait_until_idle(), 60)
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**20):
                pass
