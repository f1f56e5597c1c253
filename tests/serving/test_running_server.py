"""A server that drains: what it finishes, what it drops, and how long it takes."""

import signal
import threading
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
from grpc_status import rpc_status

from dcgan.serving.client import Client, ClientError
from dcgan.serving.errors import ServingError
from dcgan.serving.running_server import RunningServer
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.http2_peer import Peer
from tests.serving.support import is_ready, poll, stop_at_once

pytestmark = pytest.mark.slow


UNREAD = "dcgan_unread_reply_bytes"


WAITING = 'dcgan_queue_requests{model="slow"}'


CANCELLED = (
    'grpc_server_handled_total{grpc_code="CANCELLED",grpc_method="GenerateStream",'
    'grpc_service="dcgan.v1.GeneratorService",grpc_type="server_stream"}'
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_it_accepted(start_server, only, number):
    with start_server(only("slow")) as server, Client(server.target) as client:
        accepted = [client.stream(seed, 120) for seed in range(4)]
        first = [next(chunks) for chunks in accepted]
        server.process.send_signal(number)
        rest = [list(chunks) for chunks in accepted]
        assert server.process.wait(timeout=30) == 0
    assert [len(np.concatenate([head, *tail])) for head, tail in zip(first, rest, strict=True)] == [
        120
    ] * 4


def test_a_client_that_leaves_takes_its_work_with_it(start_server, only, read_metrics):
    with start_server(only("slow")) as server, Client(server.target) as client:
        chunks = client.stream(1, 2**32 - 1)
        next(chunks)
        chunks.close()
        poll(
            lambda: read_metrics(server).get(CANCELLED) == 1 and read_metrics(server)[WAITING] == 0
        )
        assert client.generate(1).shape == (1, 8, 8, 3)


def test_a_slow_reader_makes_the_server_wait(start_server, only, read_metrics):
    def count_made() -> float:
        return read_metrics(server)['dcgan_images_total{model="tiny"}']

    with start_server(only("tiny")) as server, Peer(server.target) as peer:
        peer.ask(1, pb.GenerateStreamRequest(n=10_000_000), "GenerateStream")
        poll(lambda: count_made() >= 2 * 64)
        # One chunk waits for its reader, and another one is made behind it.
        assert all(count_made() == 2 * 64 for _ in range(100))
        peer.widen(1, 2**16)
        poll(lambda: count_made() > 2 * 64)


def test_a_second_signal_drops_what_has_not_finished(start_server, only):
    options = ("--drain-delay-s", "60")
    with (
        start_server(only("slow"), *options, noisy=True) as server,
        Client(server.target) as client,
    ):
        chunks = client.stream(1, 2**32 - 1)
        next(chunks)
        server.process.terminate()
        poll(lambda: not is_ready(server))
        stop_at_once(server)

        with pytest.raises(ClientError):
            list(chunks)


def test_accepted_requests_have_only_so_long_to_finish(start_server, only):
    with start_server(only("slow"), "--exit-timeout-s", "0.2") as server:
        with Client(server.target) as client:
            chunks = client.stream(1, 2**32 - 1)
            next(chunks)
            server.process.terminate()
            with pytest.raises(ClientError):
                list(chunks)
        assert server.process.wait(timeout=30) == 0


@pytest.mark.parametrize("goes_on", [False, True])
def test_nobody_sees_a_bare_cancelled_when_a_server_stops(
    start_server, only, read_metrics, goes_on
):
    codes, details = [], []

    def call(server):
        """Calls without a pause, as no well-behaved client does, until the port is closed."""
        with grpc.insecure_channel(server.target, [("grpc.use_local_subchannel_pool", 1)]) as own:
            stub = GeneratorServiceStub(own)
            while codes[-1:] != ["UNAVAILABLE"] or goes_on:
                try:
                    stub.Generate(pb.GenerateRequest())
                    codes.append("OK")
                except grpc.RpcError as error:
                    codes.append(error.code().name)
                    details.append(rpc_status.from_call(error))
                    if "failed to connect" in error.details():
                        return

    def is_told_when_to_ask_again() -> bool:
        return any(status is not None and len(status.details) == 2 for status in details)

    with start_server(only("tiny"), "--drain-delay-s", "1") as server, Peer(server.target) as peer:
        callers = [threading.Thread(target=call, args=(server,)) for _ in range(8)]
        for caller in callers:
            caller.start()
        poll(lambda: len(codes) > 20)
        peer.ask(1, pb.GenerateRequest())  # until its reply is read, the drain goes on
        poll(lambda: read_metrics(server)[UNREAD])
        server.process.terminate()
        poll(is_told_when_to_ask_again)
        peer.read(1)
        for caller in callers:
            caller.join()
        assert server.process.wait(timeout=30) == 0
    assert set(codes) == {"OK", "UNAVAILABLE"}


def test_probes_over_http_see_the_drain(start_server, only):
    def status(server, path):
        try:
            with urllib.request.urlopen(server.metrics.replace("/metrics", path)) as page:
                return page.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with start_server(only("tiny"), "--drain-delay-s", "60", noisy=True) as server:
        assert (status(server, "/readyz"), status(server, "/healthz")) == (200, 200)
        assert status(server, "/other") == 404
        server.process.terminate()
        poll(lambda: status(server, "/readyz") == 503)
        assert status(server, "/healthz") == 200
        stop_at_once(server)


@pytest.mark.hostile("A failure that ends gRPC inside the server", "the server ends with an error")
async def test_a_server_whose_grpc_ends_by_itself_ends():
    class Ended:
        async def wait_for_termination(self):
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    server = RunningServer(
        address="",
        http_address=None,
        port=0,
        metrics_address="",
        registry=None,
        generation=None,
        readiness=None,
        grpc_server=Ended(),
    )
    with pytest.raises(ServingError, match=r"gRPC has ended by itself: .*invalid start byte"):
        await server.watch_grpc()
