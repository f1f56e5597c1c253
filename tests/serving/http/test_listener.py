"""The HTTP listener: port, stop and socket options."""

import asyncio
import socket

import pytest
from prometheus_client import CollectorRegistry

from dcgan.serving.errors import ServingError
from dcgan.serving.http import protocol
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.http.metrics import HttpMetrics
from tests.serving.http.listening import GET, listening, say_ok, say_ok_after


async def test_stopping_waits_for_requests_and_closes_idle_connections(connect):
    release = asyncio.Event()

    async with listening(say_ok_after(release)) as (listener, _):
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


@pytest.mark.parametrize("host", ["::", "[::]"])
async def test_all_addresses_are_those_of_ipv4_too(connect, host):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    async with listening(say_ok, host=host) as (listener, _):
        reader, writer = await connect(listener)
        writer.write(GET)
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)


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
