"""Requests with faulty bodies, trailers or successors."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from tests.serving.http.listening import GET, answered, listening, say_ok, say_ok_after


@pytest.mark.hostile("Endless trailers of a request", "cut off after 64 KiB, none are kept")
async def test_endless_trailers_are_cut_off(connect):
    async with listening(say_ok, max_body_bytes=1000) as (listener, _):
        reader, writer = await connect(listener)
        head = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        writer.write(head + b"A: b\r\n" * 1000)
        await asyncio.wait_for(reader.read(), 10)  # to the end of the connection


async def test_a_faulty_body_is_answered_instead_of_its_request(connect):
    release = asyncio.Event()

    registry = CollectorRegistry()
    async with listening(say_ok_after(release), registry=registry) as (listener, in_flight):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not in_flight.calls.total:
            await asyncio.sleep(0.005)
        protocol_ = next(iter(listener._server.server_state.connections))
        writer.write(b"ffffffffffffffffff\r\n")
        while not protocol_._refused:
            await asyncio.sleep(0.005)
        release.set()
        answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"content-length") == 1
    assert answered(registry) == {"400": 1}


async def test_a_faulty_body_gets_no_second_answer(connect):
    registry = CollectorRegistry()
    async with listening(say_ok, registry=registry) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"ok"), 60)
        writer.write(b"ffffffffffffffffff\r\n")
        assert await asyncio.wait_for(reader.read(), 60) == b""
    assert answered(registry) == {"200": 1}


async def test_a_request_is_answered_although_the_next_one_is_faulty(connect):
    registry = CollectorRegistry()
    async with listening(say_ok, registry=registry) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(GET + b"hello\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok")
    assert answered(registry) == {"200": 1}


async def test_nothing_is_answered_after_a_refusal(connect, caplog):
    registry = CollectorRegistry()
    async with listening(say_ok, registry=registry) as (listener, _):
        reader, writer = await connect(listener)
        large = GET.replace(b"Host: a", b"Host: a\r\nX: " + b"b" * 40_000)
        writer.write(large + GET)
        answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answered(registry) == {"431": 1}
    assert "Exception" not in caplog.text
