"""Clients that do not read their replies: they lose nothing, and cannot fill the memory."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.http2_peer import Peer
from tests.serving.support import poll

pytestmark = pytest.mark.slow

UNREAD = "dcgan_unread_reply_bytes"
GENERATED = (
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Generate",'
    'grpc_service="dcgan.v1.GeneratorService",grpc_type="unary"}'
)


def reason(error: grpc.RpcError) -> str:
    info = ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


def test_a_server_that_stops_waits_until_its_replies_have_been_read(
    start_server, only, read_metrics, expected
):
    with start_server(only("tiny")) as server, Peer(server.target) as peer:
        peer.ask(1, pb.GenerateRequest(seed=7, n=3))
        poll(lambda: read_metrics(server).get(GENERATED))
        server.process.terminate()
        with grpc.insecure_channel(server.target) as channel:
            stub = GeneratorServiceStub(channel)
            for _ in range(2):  # without the unread reply, it would end by the first refusal
                while not is_draining(stub):
                    assert server.process.poll() is None

        assert peer.read(1).pixels == expected("tiny", 7, range(3)).tobytes()
        assert server.process.wait(timeout=30) == 0


def is_draining(stub: GeneratorServiceStub) -> bool:
    try:
        stub.Generate(pb.GenerateRequest())
    except grpc.RpcError as error:
        assert reason(error) == "DRAINING"
        return True
    return False


@pytest.mark.hostile(
    "Window 0 and replies that are never read",
    "`REPLIES_UNREAD` for that connection; others are served",
)
def test_unread_replies_are_refused_to_their_connection_only(
    start_server, only, read_metrics, expected
):
    """A reply of 100 images counts twice its 19,200 bytes; a connection has two thirds."""
    refused = 'dcgan_rejected_total{reason="REPLIES_UNREAD"}'
    with start_server(only("tiny"), "--max-unread-bytes", "120000") as server:
        with Peer(server.target) as peer, grpc.insecure_channel(server.target) as channel:
            stub = GeneratorServiceStub(channel)
            unread = 0.0
            for i in range(2):
                assert stub.Generate(pb.GenerateRequest(n=100)).n == 100  # nobody else's business
                # Its reply counts as unread until the server knows that it was read.
                poll(lambda unread=unread: read_metrics(server)[UNREAD] == unread)
                peer.ask(2 * i + 1, pb.GenerateRequest(seed=7, n=100))
                poll(lambda unread=unread: read_metrics(server)[UNREAD] > unread)
                unread = read_metrics(server)[UNREAD]
            assert unread > 2 * 38_400

            peer.ask(5, pb.GenerateRequest(n=100))
            poll(lambda: read_metrics(server).get(refused) == 1)
            with pytest.raises(grpc.RpcError) as caught:  # the address has its share, too
                stub.Generate(pb.GenerateRequest(n=100))
            assert (caught.value.code().name, reason(caught.value)) == (
                "RESOURCE_EXHAUSTED",
                "REPLIES_UNREAD",
            )
            # Others are served.
            assert stub.Generate(pb.GenerateRequest(n=10)).n == 10
            stream = stub.GenerateStream(pb.GenerateStreamRequest(n=1))
            assert [reply.n for reply in stream] == [1]

            for i in range(2):
                assert peer.read(2 * i + 1).pixels == expected("tiny", 7, range(100)).tobytes()
            poll(lambda: not read_metrics(server)[UNREAD])
            assert stub.Generate(pb.GenerateRequest()).n == 1
            poll(lambda: not read_metrics(server)[UNREAD])
            peer.ask(7, pb.GenerateRequest(n=100))
            poll(lambda: read_metrics(server)[UNREAD])

        poll(lambda: not read_metrics(server)[UNREAD])  # it has gone without reading
