"""Limits with short times, on a protocol in this process."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.errors import ServingError
from dcgan.serving.http import protocol
from dcgan.serving.http.app import HttpApp
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.response import Response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def listening(
    handler,
    in_flight: InFlight | None = None,
    registry: CollectorRegistry | None = None,
    **limits,
) -> AsyncIterator[tuple[HttpListener, InFlight]]:
    config = HttpConfig(port=0, access_log=False, **limits)
    metrics = HttpMetrics(registry or CollectorRegistry())
    in_flight = in_flight or InFlight()
    app = HttpApp(handler, config, metrics, in_flight, count_refusal=lambda _: None)
    listener = HttpListener(app, config, metrics, "127.0.0.1", reuse_port=False)
    await listener.start()

    try:
        yield listener, in_flight
    finally:
        await listener.stop(5)
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


def answered(registry: CollectorRegistry) -> dict[str, float]:
    """The number of answers by status."""
    return {
        sample.labels["status"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "dcgan_http_requests_total"
    }


async def say_ok(_) -> Response:
    return Response(200, b"ok")


@pytest.fixture
async def connect():
    """Opens connections to a listener, which are closed after the test."""
    writers = []

    async def open_connection(listener, source="127.0.0.1"):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, local_addr=(source, 0)
        )
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


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


@pytest.mark.hostile("Too many HTTP connections", "refused; others are served")
async def test_too_many_connections_are_refused(connect):
    release = asyncio.Event()

    async def wait(_) -> Response:
        await release.wait()
        return Response(200, b"ok")

    registry = CollectorRegistry()
    async with listening(wait, registry=registry, max_connections=20) as (listener, in_flight):
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
    async def wait(_) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(wait, max_connections=3) as (listener, in_flight):
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

    async def wait(_) -> Response:
        await release.wait()
        return Response(200, b"ok")

    limited = InFlight(CallLimits(max_calls=9))
    async with listening(wait, limited) as (listener, in_flight):
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

    async def wait(_) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(wait, registry=registry, max_connections=1) as (listener, in_flight):
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


@pytest.mark.slow
async def test_a_client_that_leaves_cancels_its_request(connect):
    states = []

    async def wait_for_ever(_) -> Response:
        states.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            states.append("cancelled")
            raise
        raise AssertionError

    async with listening(wait_for_ever) as (listener, in_flight):
        _, writer = await connect(listener)
        writer.write(GET)
        while not states:
            await asyncio.sleep(0.005)
        writer.transport.abort()
        await asyncio.wait_for(in_flight.wait_until_idle(), 60)
    assert states == ["begun", "cancelled"]


@pytest.mark.parametrize("sees_the_end_first", [False, True])
async def test_a_half_closed_client_gets_its_answer(connect, monkeypatch, sees_the_end_first):
    seen = asyncio.Event()
    eof_received = protocol.LimitedProtocol.eof_received

    def note_eof(self) -> bool | None:
        seen.set()
        return eof_received(self)

    async def answer_late(_) -> Response:
        await seen.wait()
        return Response(200, b"ok")

    monkeypatch.setattr(protocol, "_HALF_CLOSED_S", 3600.0)
    monkeypatch.setattr(protocol.LimitedProtocol, "eof_received", note_eof)
    handler = answer_late if sees_the_end_first else say_ok
    async with listening(handler) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(GET)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"ok"
    if sees_the_end_first:
        assert b"connection: close" in head


@pytest.mark.slow
async def test_a_half_closed_client_is_given_a_moment(connect):
    async def wait_for_ever(_) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(wait_for_ever) as (listener, in_flight):
        reader, writer = await connect(listener)
        writer.write(GET)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 60) == b""
        await asyncio.wait_for(in_flight.wait_until_idle(), 60)


async def test_stopping_waits_for_requests_and_closes_idle_connections(connect):
    release = asyncio.Event()

    async def wait(_) -> Response:
        await release.wait()
        return Response(200, b"ok")

    async with listening(wait) as (listener, _):
        idle, _ = await connect(listener)
        reader, writer = await connect(listener)
        writer.write(GET)
        stopping = asyncio.create_task(listener.stop(5))
        assert await asyncio.wait_for(idle.read(), 60) == b""
        assert not stopping.done()
        release.set()
        answer = await asyncio.wait_for(reader.read(), 60)
        assert answer.endswith(b"ok")
        assert b"connection: close" in answer
        await stopping


async def test_a_port_that_is_taken_is_said():
    async with listening(say_ok) as (listener, _):
        with pytest.raises(ServingError, match="choose another --http-port, or leave HTTP out"):
            taken = HttpConfig(port=listener.port)
            HttpListener(
                None, taken, HttpMetrics(CollectorRegistry()), "127.0.0.1", reuse_port=False
            )


async def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(connect, monkeypatch):
    accepted = asyncio.get_running_loop().create_future()
    connection_made = protocol.LimitedProtocol.connection_made

    def note_socket(self, transport) -> None:
        accepted.set_result(transport.get_extra_info("socket"))
        connection_made(self, transport)

    monkeypatch.setattr(protocol.LimitedProtocol, "connection_made", note_socket)
    async with listening(say_ok) as (listener, _):
        await connect(listener)
        sock = await asyncio.wait_for(accepted, 60)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.hostile("Endless trailers of a request", "cut off after 64 KiB, none are kept")
async def test_endless_trailers_are_cut_off(connect):
    async with listening(say_ok, max_body_bytes=1000) as (listener, _):
        reader, writer = await connect(listener)
        head = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        writer.write(head + b"A: b\r\n" * 1000)
        await asyncio.wait_for(reader.read(), 10)  # to the end of the connection


async def test_a_faulty_body_is_answered_instead_of_its_request(connect):
    release = asyncio.Event()

    async def wait(_) -> Response:
        await release.wait()
        return Response(200, b"ok")

    registry = CollectorRegistry()
    async with listening(wait, registry=registry) as (listener, in_flight):
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
