"""Clients that leave or half-close their connection before they have an answer."""

import asyncio
import contextlib

import pytest

from dcgan.serving.http import protocol
from dcgan.serving.http.response import Response
from tests.serving.http.listening import GET, listening, never_answer, say_ok


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
    async with listening(never_answer) as (listener, in_flight):
        reader, writer = await connect(listener)
        writer.write(GET)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 60) == b""
        await asyncio.wait_for(in_flight.wait_until_idle(), 60)
