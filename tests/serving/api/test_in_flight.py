"""Clients that do not read their replies: they lose nothing, and cannot fill the memory."""

import socket
import struct

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from dcgan.serving.api.service import SERVICE
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

UNREAD = "dcgan_unread_reply_bytes"
GENERATED = (
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Generate",'
    'grpc_service="dcgan.v1.GeneratorService",grpc_type="unary"}'
)


class Peer:
    """A client of HTTP/2 (RFC 9113) that asks for images and reads none of them until `read`."""

    DATA, HEADERS, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 7, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1
    INITIAL_WINDOW_SIZE = 4

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(self.SETTINGS, 0, 0, struct.pack(">HI", self.INITIAL_WINDOW_SIZE, 0))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def ask(self, stream: int, request: pb.GenerateRequest) -> None:
        """Sends a request; the numbers of streams are odd, and rise."""
        names = {
            ":method": "POST",
            ":scheme": "http",
            ":path": f"/{SERVICE}/Generate",
            ":authority": "server",
        }
        names |= {"content-type": "application/grpc", "te": "trailers"}
        texts = ((name.encode(), value.encode()) for name, value in names.items())
        block = b"".join(
            b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in texts
        )
        message = request.SerializeToString()
        self._send(self.HEADERS, self.END_HEADERS, stream, block)
        self._send(
            self.DATA, self.END_STREAM, stream, struct.pack(">?I", False, len(message)) + message
        )

    def read(self, stream: int) -> pb.GenerateResponse:
        """Takes the reply now."""
        self._send(self.WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**20))
        data = b""
        while True:
            length, kind, flags, number = struct.unpack(">IBBI", b"\0" + self._receive(9))
            body = self._receive(length)
            if kind == self.SETTINGS and not flags & self.ACK:
                self._send(self.SETTINGS, self.ACK, 0, b"")
            elif number == stream and kind == self.DATA:
                data += body
            elif number == stream and flags & self.END_STREAM:
                return pb.GenerateResponse.FromString(data[5:])

    def _send(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">IBBI", len(body), kind, flags, stream)[1:] + body)

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the server has closed the connection"
            data += more
        return data


def reason(error: grpc.RpcError) -> str:
    info = ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


def test_a_server_that_stops_waits_until_its_replies_have_been_read(
    start_server, only, read_metrics, expected
):
    with start_server(only("tiny")) as server, Peer(server.target) as peer:
        peer.ask(1, pb.GenerateRequest(seed=7, n=3))
        while not read_metrics(server).get(GENERATED):
            assert server.process.poll() is None
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


def test_replies_that_nobody_reads_are_bounded(start_server, only, read_metrics, expected):
    with start_server(only("tiny"), "--max-unread-bytes", "3000") as server:
        with Peer(server.target) as peer, grpc.insecure_channel(server.target) as channel:
            stub = GeneratorServiceStub(channel)
            for i in range(2):
                assert stub.Generate(pb.GenerateRequest(n=100)).n == 100  # nobody else's business
                peer.ask(2 * i + 1, pb.GenerateRequest(seed=7, n=10))
                while not read_metrics(server)[UNREAD] > 1920 * (i + 1):
                    assert server.process.poll() is None
            with pytest.raises(grpc.RpcError) as caught:
                stub.Generate(pb.GenerateRequest())
            assert (caught.value.code().name, reason(caught.value)) == (
                "RESOURCE_EXHAUSTED",
                "REPLIES_UNREAD",
            )
            assert (
                next(iter(stub.GenerateStream(pb.GenerateStreamRequest(n=1)))).n == 1
            )  # waits for its reader itself
            for i in range(2):
                assert peer.read(2 * i + 1).pixels == expected("tiny", 7, range(10)).tobytes()
            while read_metrics(server)[UNREAD]:
                assert server.process.poll() is None
            assert stub.Generate(pb.GenerateRequest()).n == 1
            peer.ask(5, pb.GenerateRequest(n=100))
            while not read_metrics(server)[UNREAD]:
                assert server.process.poll() is None
        while read_metrics(server)[UNREAD]:  # it has gone without reading
            assert server.process.poll() is None
