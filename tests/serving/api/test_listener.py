"""The gRPC port: address, services, and sizes of messages."""

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from dcgan.serving.api import listener
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.listener import create_grpc_server, max_connections
from dcgan.serving.api.service import GeneratorService
from dcgan.serving.client import Client, RefusedError
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.peer import name_peer, parse_peer
from tests.serving.http2_peer import Peer
from tests.serving.support import SERVICE, refuse_to_start


def test_reflection_lists_the_service(server):
    with grpc.insecure_channel(server.target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reply = next(ServerReflectionStub(channel).ServerReflectionInfo(iter([request])))
        assert SERVICE in [service.name for service in reply.list_services_response.service]


@pytest.mark.slow
@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
def test_it_listens_where_it_is_told(start_server, only, host):
    with start_server(only("tiny"), "--host", host) as server, Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_a_host_that_is_none_is_named(only):
    for option in ("--host", "--metrics-host"):
        for host in ("nowhere.invalid", "a..b", "caf\udce9"):
            message = refuse_to_start(only("tiny"), option, host)
            assert f"cannot be resolved; choose another {option}" in message


@pytest.mark.slow
def test_messages_have_the_sizes_that_were_chosen(start_server, only):
    options = ("--max-reply-bytes", "10000", "--max-request-bytes", "100")
    with start_server(only("tiny"), *options) as server, Client(server.target) as client:
        most = client.model().max_images_per_request
        assert 0 < most * 192 < 10_000 < (most + 6) * 192 + 1024
        assert len(client.generate(7, most)) == most
        assert len(client.generate(7, most + 1)) == most + 1  # by stream
        with pytest.raises(RefusedError, match="larger than max"):
            client.generate(7, model="x" * 200)


@pytest.fixture
def channel_options(monkeypatch):
    """The options that gRPC is given by default."""
    given = {}

    def create(options):
        given.update(options)
        return FakeServer()

    monkeypatch.setattr(listener, "TolerantServer", create)
    service = GeneratorService(Generation(), Metrics())
    create_grpc_server(ConnectionConfig(), service, Readiness(SERVICE), reuse_port=False)
    return given


def test_pings_of_ten_seconds_and_more_are_tolerated(channel_options):
    assert channel_options["grpc.http2.min_ping_interval_without_data_ms"] < 10_000
    assert channel_options["grpc.keepalive_permit_without_calls"] == 1


def test_grpc_does_not_cancel_calls_that_wait_for_half_a_minute(channel_options):
    assert channel_options["grpc.server_max_unrequested_time_in_server"] == 3600


@pytest.mark.parametrize(("files", "connections"), [(65_536, 32_512), (1024, 256), (256, 64)])
def test_connections_leave_files_for_the_other_ports(files, connections):
    assert max_connections(files) == connections


class FakeServer:
    def add_registered_method_handlers(self, service, handlers):
        pass


@pytest.mark.slow
def test_clients_may_ping_as_often_as_the_option_says(start_server, only):
    option = ("--min-ping-interval-s", "0")
    with start_server(only("tiny"), *option) as server, Peer(server.target) as peer:
        assert all(peer.ping() for _ in range(50))
    with start_server(only("tiny")) as server, Peer(server.target) as peer:
        assert not all(peer.ping() for _ in range(50))


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("10.0.0.1", 7), "ipv4:10.0.0.1:7"),
        (("::1", 7, 0, 0), "ipv6:%5B::1%5D:7"),
        (("::ffff:10.0.0.1", 7, 0, 0), "ipv4:10.0.0.1:7"),
        (("fe80::1", 7, 0, 4), "ipv6:%5Bfe80::1%254%5D:7"),
    ],
)
def test_the_peer_of_a_socket_is_that_of_its_calls(address, peer):
    assert parse_peer(name_peer(*address)) == parse_peer(peer)
