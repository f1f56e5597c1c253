"""Health: liveness and readiness, from start to drain."""

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from dcgan.serving.client import Client
from tests.serving.support import NOT_SERVING, SERVICE, SERVING, is_ready, poll, stop_at_once

pytestmark = pytest.mark.slow


def test_health_says_alive_and_ready(server):
    with grpc.insecure_channel(server.target) as channel:
        stub = HealthStub(channel)
        for service in ("", SERVICE):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_while_it_drains_it_is_not_ready_but_serves(start_server, only):
    with start_server(only("tiny"), "--drain-delay-s", "60", noisy=True) as server:
        server.process.terminate()
        poll(lambda: not is_ready(server))
        with Client(server.target) as client:
            assert client.generate(7, 2).shape == (2, 8, 8, 3)
        stop_at_once(server)


def test_health_watch_shows_readiness_end(start_server, only):
    running = start_server(only("tiny"), "--drain-delay-s", "60", noisy=True)
    with running as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert next(watch).status == SERVING
        server.process.terminate()
        assert next(watch).status == NOT_SERVING
        watch.cancel()
        stop_at_once(server)


def test_a_client_that_watches_health_does_not_delay_the_end(start_server, only):
    with start_server(only("tiny")) as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        next(watch)
        server.process.terminate()
        assert server.process.wait(timeout=15) == 0
