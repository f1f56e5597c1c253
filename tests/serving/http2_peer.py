"""A client of HTTP/2 that controls every frame."""

import socket
import struct

from google.protobuf.message import Message

from dcgan.serving.api.service import SERVICE
from dcgan.v1 import generator_pb2 as pb


class Peer:
    """A client of HTTP/2 (RFC 9113) that asks for images and reads none of them until `read`."""

    DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1
    INITIAL_WINDOW_SIZE = 4

    def __init__(self, target: str, window: int = 0, source: str = "") -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection(
            (host, int(port)), timeout=30, source_address=(source, 0) if source else None
        )
        try:
            self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self._send(self.SETTINGS, 0, 0, struct.pack(">HI", self.INITIAL_WINDOW_SIZE, window))
            if window:
                self.widen(0, 2**30)  # that of all streams together
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def ask(
        self, stream: int, request: Message, method: str = "Generate", service: str = SERVICE
    ) -> None:
        """Sends a request; the numbers of streams are odd, and rise."""
        self.begin(stream, method, service)
        message = request.SerializeToString()
        self._send(
            self.DATA, self.END_STREAM, stream, struct.pack(">?I", False, len(message)) + message
        )

    def begin(
        self, stream: int, method: str = "Generate", service: str = SERVICE, flags: int = 0
    ) -> None:
        """Sends the headers of a request, without its message."""
        names = {
            ":method": "POST",
            ":scheme": "http",
            ":path": f"/{service}/{method}",
            ":authority": "server",
        }
        names |= {"content-type": "application/grpc", "te": "trailers"}
        texts = ((name.encode(), value.encode()) for name, value in names.items())
        block = b"".join(
            b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in texts
        )
        self._send(self.HEADERS, self.END_HEADERS | flags, stream, block)

    def hang_up(self) -> None:
        """Ends the connection, and with it `is_disconnected` in another thread."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def is_disconnected(self) -> bool:
        """Reads until the connection ends."""
        try:
            while self._socket.recv(2**16):
                pass
        except ConnectionError:
            pass
        return True

    def read(self, stream: int) -> pb.GenerateResponse:
        """Takes the reply now."""
        self.widen(stream, 2**20)
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

    def widen(self, stream: int, count: int) -> None:
        """Lets the server send more bytes of a reply."""
        self._send(self.WINDOW_UPDATE, 0, stream, struct.pack(">I", count))

    def _send(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">IBBI", len(body), kind, flags, stream)[1:] + body)

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the server has closed the connection"
            data += more
        return data

    def ping(self) -> bool:
        """Sends a PING; returns whether it is acknowledged, and the connection is not ended."""
        self._send(self.PING, 0, 0, bytes(8))
        while True:
            length, kind, flags, _ = struct.unpack(">IBBI", b"\0" + self._receive(9))
            self._receive(length)

            if kind == self.SETTINGS and not flags & self.ACK:
                self._send(self.SETTINGS, self.ACK, 0, b"")
            elif kind == self.PING and flags & self.ACK:
                return True
            elif kind == self.GOAWAY:
                return False
