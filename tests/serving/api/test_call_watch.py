"""Clients that send nothing, read nothing or never end, with a clock of the test's own."""

import asyncio

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from dcgan.serving.api import request_stream
from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.call_watch import end_late_calls, watch_calls
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.sockets import disconnect_peers
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.api.hosting import Host, reason, until
from tests.serving.http2_peer import Peer


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
