"""Clients that send nothing, read nothing or never end, with a clock of the test's own."""

import asyncio
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_status import rpc_status

from dcgan.serving.api import listener, request_stream
from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.call_watch import end_late_calls, watch_calls
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.listener import bind, create_grpc_server
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.api.sockets import close_idle_connections, disconnect_peers
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.observability.metrics import Metrics
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from dcgan.zoo.repository import find_release
from tests.serving.http2_peer import Peer

HEALTH = "grpc.health.v1.Health"


@dataclass
class Host:
    """A server in this process, whose time the test decides."""

    port: int
    in_flight: InFlight
    metrics: Metrics
    now: float = 1000.0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def read(self, family: str, label: str) -> dict[str, float]:
        """The samples of a counter, by one of its labels, without zeros."""
        found: Counter[str] = Counter()
        for metric in self.metrics.registry.collect():
            for sample in metric.samples:
                if sample.name == family and sample.value:
                    found[sample.labels[label]] += sample.value
        return dict(found)

    def handled(self) -> dict[str, float]:
        return self.read("grpc_server_handled_total", "grpc_code")

    def rejected(self) -> dict[str, float]:
        return self.read("dcgan_rejected_total", "reason")

    def is_writing(self) -> bool:
        """Whether a chunk of a stream waits to be read."""
        calls = self.in_flight.timed
        return any(call.unread_since is not None and not call.is_committed for call in calls)

    def end_late_calls(self, after_s: float) -> set[str]:
        self.now += after_s
        return end_late_calls(self.in_flight)


@pytest.fixture
def hosting(only):
    """Starts a server with limits: an asynchronous context manager."""

    @asynccontextmanager
    async def host(model: str = "tiny", **limits):
        metrics = Metrics()
        release = find_release(only(model), model)
        engine = EngineConfig(device="cpu")
        served = await load_model(release, engine, ModelConfig(), metrics)
        in_flight = InFlight(CallLimits(**limits), clock=lambda: hosted.now)
        generation = Generation(in_flight)
        generation.open(ModelRegistry([served]))

        service = GeneratorService(generation, metrics)
        readiness = Readiness(SERVICE)
        server = create_grpc_server(ConnectionConfig(), service, readiness, reuse_port=False)
        hosted = Host(bind(server, "127.0.0.1", 0), in_flight, metrics)
        await server.start()
        try:
            yield hosted
        finally:
            await server.stop(None)
            await served.dispatcher.stop()

    return host


async def until(holds) -> None:
    """Waits until something holds, a minute at most."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


def reason(error: grpc.aio.AioRpcError) -> str:
    return ErrorInfo.FromString(rpc_status.from_call(error).details[0].value).reason


@pytest.mark.hostile(
    "Headers without a message",
    "`REQUEST_TIMEOUT` after `--arrival-timeout-s`; counted",
)
async def test_a_request_that_does_not_arrive_is_ended(hosting):
    async with hosting(arrival_timeout_s=10) as host:
        with Peer(host.target) as peer:
            for stream in (1, 3, 5):
                peer.begin(stream)
            await until(lambda: host.in_flight.calls.total == 3)
            assert host.end_late_calls(after_s=9) == set()
            await asyncio.wait_for(host.in_flight.wait_until_idle(), 60)  # a drain does not wait

            host.end_late_calls(after_s=2)
            await until(lambda: host.in_flight.calls.total == 0)
            assert host.rejected() == {"REQUEST_TIMEOUT": 3}
            assert host.handled() == {"DEADLINE_EXCEEDED": 3}


async def test_a_request_without_a_message_is_refused(hosting, monkeypatch):
    monkeypatch.setattr(request_stream, "_LEAVING_S", 0.05)
    async with hosting() as host:
        with Peer(host.target) as peer:
            peer.begin(1, flags=Peer.END_STREAM)
            await until(lambda: host.rejected() == {"INVALID_MESSAGE": 1})
            await until(lambda: host.in_flight.calls.total == 0)


@pytest.mark.hostile(
    "A stream that is never read",
    "`REPLY_TIMEOUT` after `--read-timeout-s`, then its connection is closed",
)
async def test_a_stream_that_is_not_read_is_ended_and_then_its_connection(hosting):
    async with hosting(read_timeout_s=30) as host:
        with Peer(host.target) as peer:
            peer.ask(1, pb.GenerateStreamRequest(n=1000), "GenerateStream")
            await until(host.is_writing)
            assert host.in_flight.streams.total == 1
            assert host.end_late_calls(after_s=29) == set()
            assert not host.handled()

            assert host.end_late_calls(after_s=3) == set()
            await until(lambda: host.handled() == {"UNAVAILABLE": 1})
            assert host.rejected() == {"REPLY_TIMEOUT": 1}
            assert host.end_late_calls(after_s=29) == set()

            stuck = host.end_late_calls(after_s=3)
            assert len(stuck) == 1
            assert disconnect_peers(host.port, stuck) == 1
            assert await asyncio.to_thread(peer.is_disconnected)
            await until(lambda: host.in_flight.calls.total == 0)
        held = host.in_flight
        assert (held.streams.total, held.unread_bytes.total) == (0, 0)


async def test_a_stream_that_was_ended_tells_a_client_that_reads_again(hosting):
    async with hosting() as host, grpc.aio.insecure_channel(host.target) as channel:
        stream = GeneratorServiceStub(channel).GenerateStream(pb.GenerateStreamRequest(n=10**7))
        await until(host.is_writing)
        await until_steady(host)
        host.end_late_calls(after_s=100)
        received = 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for reply in stream:
                received += reply.n
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(caught.value) == "REPLY_TIMEOUT"
        assert received > 0


async def until_steady(host: Host) -> None:
    """Waits until the client's window and the buffers are full: nothing is written any more."""
    calls = list(host.in_flight.timed)
    while True:
        before = host.now = host.now + 1
        await asyncio.sleep(0.1)
        if all(call.unread_since is not None and call.unread_since < before for call in calls):
            return


@pytest.mark.hostile(
    "A reply that is never read",
    "its connection is closed after `--read-timeout-s`; others go on",
)
async def test_a_reply_that_is_not_read_ends_its_connection_only(hosting):
    async with hosting() as host, grpc.aio.insecure_channel(host.target) as channel:
        with Peer(host.target) as peer:
            peer.ask(1, pb.GenerateRequest(n=100))
            await until(lambda: host.handled() == {"OK": 1})
            assert host.end_late_calls(after_s=29) == set()
            stuck = host.end_late_calls(after_s=3)
            stub = GeneratorServiceStub(channel)
            replies = aiter(stub.GenerateStream(pb.GenerateStreamRequest(n=200)))
            assert (await anext(replies)).n == 64
            assert disconnect_peers(host.port, stuck) == 1
            assert sum([reply.n async for reply in replies]) == 136
            await until(lambda: host.in_flight.calls.total == 0)
        assert host.in_flight.unread_bytes.total == 0


async def test_large_replies_have_more_time(hosting):
    async with hosting() as host:
        with Peer(host.target) as peer:
            peer.ask(1, pb.GenerateRequest(n=10_000))  # 1.9 MB
            await until(lambda: host.handled() == {"OK": 1})
            assert host.end_late_calls(after_s=55) == set()
            assert host.end_late_calls(after_s=10)


@pytest.mark.hostile(
    "A call without end",
    "`CALL_TIMEOUT` after `--max-call-s`",
)
async def test_no_call_lives_for_ever(hosting):
    limits = {"max_call_s": 3600, "read_timeout_s": 10_000}
    async with hosting(**limits) as host, grpc.aio.insecure_channel(host.target) as channel:
        stream = GeneratorServiceStub(channel).GenerateStream(pb.GenerateStreamRequest(n=2**32 - 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stream:  # as fast as it can
                host.now = max(host.now, 1000 + 3601)
                if not host.rejected():
                    end_late_calls(host.in_flight)
        status = rpc_status.from_call(caught.value)
        assert (caught.value.code().name, reason(caught.value)) == ("UNAVAILABLE", "CALL_TIMEOUT")
        assert RetryInfo.FromString(status.details[1].value).retry_delay.seconds == 1


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


async def test_connections_without_a_call_are_forgotten(hosting):
    async with hosting() as host, grpc.aio.insecure_channel(host.target) as channel:
        await GeneratorServiceStub(channel).Generate(pb.GenerateRequest())
        await until(lambda: host.in_flight.calls.total == 0)
        assert not host.in_flight.calls._connections
        assert not host.in_flight.calls._addresses


async def test_the_watch_disconnects_what_is_stuck():
    in_flight = InFlight(CallLimits(read_timeout_s=1), clock=iter(range(0, 10**6, 10)).__next__)
    task = asyncio.create_task(asyncio.Event().wait())
    call = in_flight.begin_call("ipv4:127.0.0.1:1", task)
    call.answer()
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    def disconnect(peers) -> None:
        loop.call_soon_threadsafe(lambda: found.done() or found.set_result(set(peers)))

    looked: list[list[str]] = []
    watching = asyncio.create_task(
        watch_calls(in_flight, disconnect, looked.append, interval_s=0.01)
    )
    assert await asyncio.wait_for(found, 60) == {"ipv4:127.0.0.1:1"}
    await until(lambda: looked)
    assert looked[0] == ["ipv4:127.0.0.1:1"]
    watching.cancel()
    task.cancel()
