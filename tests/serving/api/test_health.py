"""Health: liveness and readiness, from start to drain."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from dcgan.serving.api.health import Readiness
from dcgan.serving.client import Client
from tests.serving.http2_peer import Peer
from tests.serving.support import NOT_SERVING, SERVICE, SERVING, is_ready, poll, stop_at_once

WATCHED = health_pb2.HealthCheckRequest(service=SERVICE)


class Reader:
    """A client that takes what it is sent when it is told to."""

    def __init__(self):
        self.reads = asyncio.Event()
        self.is_sent_to = asyncio.Event()
        self.taken = []

    async def write(self, reply):
        self.is_sent_to.set()
        await self.reads.wait()
        self.taken.append(reply.status)


@pytest.mark.hostile("A client that watches health and reads nothing", "nobody waits for it")
async def test_a_watcher_that_does_not_read_holds_up_no_change():
    readiness, silent, other = Readiness(SERVICE), Reader(), Reader()
    other.reads.set()
    readiness.set_ready(is_ready=True)
    watches = [asyncio.create_task(readiness.Watch(WATCHED, each)) for each in (silent, other)]
    await silent.is_sent_to.wait()
    await other.is_sent_to.wait()

    other.is_sent_to.clear()
    readiness.shut_down()  # not awaited: it cannot wait
    await other.is_sent_to.wait()
    assert (silent.taken, other.taken) == ([], [SERVING, NOT_SERVING])

    silent.is_sent_to.clear()
    silent.reads.set()
    await silent.is_sent_to.wait()  # it learns of the change that it missed
    assert silent.taken == [SERVING, NOT_SERVING]
    for watch in watches:
        watch.cancel()


async def test_after_a_shutdown_nothing_becomes_ready_again():
    readiness = Readiness(SERVICE)
    readiness.shut_down()
    readiness.set_ready(is_ready=True)
    for service in ("", SERVICE):
        request = health_pb2.HealthCheckRequest(service=service)
        assert (await readiness.Check(request, None)).status == NOT_SERVING
    assert not readiness.is_ready


@pytest.mark.slow
def test_health_says_alive_and_ready(server):
    with grpc.insecure_channel(server.target) as channel:
        stub = HealthStub(channel)
        for service in ("", SERVICE):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING
        listed = stub.List(health_pb2.HealthListRequest()).statuses
        assert {name: each.status for name, each in listed.items()} == {
            "": SERVING,
            SERVICE: SERVING,
        }
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.slow
def test_while_it_drains_it_is_not_ready_but_serves(start_server, only):
    with start_server(only("tiny"), "--drain-delay-s", "60", noisy=True) as server:
        server.process.terminate()
        poll(lambda: not is_ready(server))
        with Client(server.target) as client:
            assert client.generate(7, 2).shape == (2, 8, 8, 3)
        stop_at_once(server)


@pytest.mark.slow
def test_health_watch_shows_readiness_end(start_server, only):
    running = start_server(only("tiny"), "--drain-delay-s", "60", noisy=True)
    with running as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert next(watch).status == SERVING
        server.process.terminate()
        assert next(watch).status == NOT_SERVING
        watch.cancel()
        stop_at_once(server)


@pytest.mark.slow
def test_a_client_that_watches_health_does_not_delay_the_end(start_server, only):
    with start_server(only("tiny")) as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        next(watch)
        server.process.terminate()
        assert server.process.wait(timeout=15) == 0


@pytest.mark.slow
def test_a_client_that_watches_health_and_reads_nothing_does_not_delay_the_end(start_server, only):
    with start_server(only("tiny")) as server, Peer(server.target) as peer:
        peer.ask(1, WATCHED, "Watch", "grpc.health.v1.Health")
        with grpc.insecure_channel(server.target) as channel:
            watch = HealthStub(channel).Watch(WATCHED, timeout=30)  # comes after the other
            assert next(watch).status == SERVING
            server.process.terminate()
            assert next(watch).status == NOT_SERVING
        assert server.process.wait(timeout=30) == 0
