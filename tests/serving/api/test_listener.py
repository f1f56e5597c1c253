"""The gRPC port: address, services, and sizes of messages."""

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from dcgan.serving.client import Client, RefusedError
from tests.serving.support import SERVICE, refuse_to_start


def test_reflection_lists_the_service(server):
    with grpc.insecure_channel(server.target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reply = next(ServerReflectionStub(channel).ServerReflectionInfo(iter([request])))
        assert SERVICE in [service.name for service in reply.list_services_response.service]


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
def test_it_listens_where_it_is_told(start_server, only, host):
    with start_server(only("tiny"), "--host", host) as server, Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_a_host_that_is_none_is_named(only):
    assert "--host" in refuse_to_start(only("tiny"), "--host", "nowhere.invalid")


def test_messages_have_the_sizes_that_were_chosen(start_server, only):
    options = ("--max-reply-bytes", "10000", "--max-request-bytes", "100")
    with start_server(only("tiny"), *options) as server, Client(server.target) as client:
        most = client.model().max_images_per_request
        assert 0 < most * 192 < 10_000 < (most + 6) * 192 + 1024
        assert len(client.generate(7, most)) == most
        assert len(client.generate(7, most + 1)) == most + 1  # by stream
        with pytest.raises(RefusedError, match="larger than max"):
            client.generate(7, model="x" * 200)
