"""Garbage sent to the health and reflection services."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status

pytestmark = pytest.mark.slow

GARBAGE = b"\xff" * 9
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def send(channel, method):
    if method.startswith(REFLECTION):
        return list(channel.stream_stream(method)(iter([GARBAGE])))
    if method.endswith("Watch"):
        return list(channel.unary_stream(method)(GARBAGE))
    return channel.unary_unary(method)(GARBAGE)


@pytest.mark.hostile(
    "Garbage for the health and reflection services",
    "INVALID_ARGUMENT; no traceback is logged",
)
def test_garbage_is_an_invalid_argument_and_no_trace_is_logged(start_server, only):
    # The server must end with a quiet log.
    with start_server(only("tiny")) as server, grpc.insecure_channel(server.target) as channel:
        for method in (HEALTH + "Check", HEALTH + "Watch", REFLECTION):
            with pytest.raises(grpc.RpcError) as caught:
                send(channel, method)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            detail = rpc_status.from_call(caught.value).details[0]
            assert ErrorInfo.FromString(detail.value).reason == "INVALID_MESSAGE"

        assert HealthStub(channel).Check(HealthCheckRequest()).status == 1
        request = ServerReflectionRequest(list_services="")
        reply = next(ServerReflectionStub(channel).ServerReflectionInfo(iter([request])))
        assert len(reply.list_services_response.service) == 3
