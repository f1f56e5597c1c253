"""Limits on the calls, streams and unread replies of one connection."""

import asyncio

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.api.hosting import until
from tests.serving.http2_peer import Peer

HEALTH = "grpc.health.v1.Health"


@pytest.mark.hostile(
    "One connection with all calls",
    "refused above its share; others are served",
)
async def test_one_connection_has_a_share_of_the_calls(hosting):
    async with hosting(max_calls=9) as host, grpc.aio.insecure_channel(host.target) as channel:
        with Peer(host.target) as peer:
            for i in range(10):
                peer.begin(2 * i + 1)
            await until(lambda: host.rejected() == {"TOO_MANY_CALLS": 4})
            await until(lambda: host.in_flight.calls.total == 6)
            assert host.handled() == {"RESOURCE_EXHAUSTED": 4}
            assert (await GeneratorServiceStub(channel).Generate(pb.GenerateRequest())).n == 1
        await until(lambda: host.in_flight.calls.total == 0)
        assert host.handled() == {"RESOURCE_EXHAUSTED": 4, "CANCELLED": 6, "OK": 1}


@pytest.mark.hostile(
    "One connection with all streams",
    "refused above its share; others are served",
)
async def test_one_connection_has_a_share_of_the_streams(hosting):
    async with hosting(max_streams=9) as host, grpc.aio.insecure_channel(host.target) as channel:
        with Peer(host.target) as peer:
            for i in range(10):
                peer.ask(2 * i + 1, pb.GenerateStreamRequest(n=1000), "GenerateStream")
            await until(lambda: host.rejected() == {"TOO_MANY_STREAMS": 4})
            assert host.in_flight.streams.total == 6
            other = GeneratorServiceStub(channel).GenerateStream(pb.GenerateStreamRequest(n=200))
            assert sum([reply.n async for reply in other]) == 200


@pytest.mark.hostile(
    "Many streams that are never read",
    "their memory stays within the share of their connection",
)
async def test_streams_that_are_not_read_count_as_unread(hosting):
    chunk = 3 * 64 * 192
    async with hosting(max_unread_bytes=9 * chunk) as host:
        with Peer(host.target) as peer:
            for i in range(9):
                peer.ask(2 * i + 1, pb.GenerateStreamRequest(n=1000), "GenerateStream")
            await until(lambda: sum(host.rejected().values()) >= 4)
            assert set(host.rejected()) == {"REPLIES_UNREAD"}
            assert host.in_flight.unread_bytes.total <= 6 * chunk


@pytest.mark.hostile("4,000 calls at once on a connection", "all answered and counted")
@pytest.mark.slow
async def test_thousands_of_calls_at_once_are_all_answered_and_counted(hosting):
    async with hosting() as host:
        with Peer(host.target, window=2**20) as peer:
            reading = asyncio.ensure_future(asyncio.to_thread(peer.is_disconnected))

            def ask() -> None:
                for i in range(4000):
                    peer.ask(2 * i + 1, pb.GenerateRequest(seed=i))

            await asyncio.to_thread(ask)
            await until(lambda: host.in_flight._begun == 4000 and not host.in_flight.calls.total)
            peer.hang_up()
            await reading
        assert sum(host.handled().values()) == 4000
        assert host.handled().keys() <= {"OK", "RESOURCE_EXHAUSTED"}


@pytest.mark.hostile(
    "Calls of the health service without end",
    "the same limits of number and time",
)
async def test_other_services_have_the_same_limits(hosting):
    async with hosting(max_calls=9) as host, grpc.aio.insecure_channel(host.target) as channel:
        with Peer(host.target) as peer:
            for i in range(6):
                peer.begin(2 * i + 1, ("Check", "Watch")[i % 2], HEALTH)
            await until(lambda: host.in_flight.calls.total == 6)
            peer.begin(13, "Check", HEALTH)
            await until(lambda: host.rejected() == {"TOO_MANY_CALLS": 1})
            assert (await HealthStub(channel).Check(HealthCheckRequest())).status == 1
            host.end_late_calls(after_s=11)
            await until(lambda: host.in_flight.calls.total == 0)
            assert host.rejected() == {"TOO_MANY_CALLS": 1, "REQUEST_TIMEOUT": 6}


async def test_connections_without_a_call_are_forgotten(hosting):
    async with hosting() as host, grpc.aio.insecure_channel(host.target) as channel:
        await GeneratorServiceStub(channel).Generate(pb.GenerateRequest())
        await until(lambda: host.in_flight.calls.total == 0)
        assert not host.in_flight.calls._connections
        assert not host.in_flight.calls._addresses
