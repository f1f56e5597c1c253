"""A web server on the loopback that misbehaves as its script says."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = bytes(range(256)) * 1000
"""The file that the tests download."""

SHA256 = hashlib.sha256(DATA).hexdigest()

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the next line of the script says; correctly after its end."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.server.logins += self.headers.get_all("Proxy-Authorization", [])
        data = self.server.files.get(self.path)
        name, _, argument = (self.server.script.pop(0) if self.server.script else "good").partition(
            " "
        )
        self.close_connection = True

        if name == "redirect":
            self.head(302, Location=argument, Content_Length=0)
        elif name == "status" or data is None:
            self.head(int(argument or 404), Content_Length=0)
        elif name == "later":
            self.head(503, Content_Length=0, Retry_After=3600)
        else:
            BEHAVIOURS[name](self, data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Stays silent."""

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Serves `files`, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: list[str] = []
        self.requests: list[tuple[str, str | None]] = []
        self.logins: list[str] = []
        self.ended = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


def good(handler: Handler, data: bytes) -> None:
    """As it should be, ranges included."""
    wanted = handler.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0

    if start >= len(data):
        handler.head(416, Content_Length=0)
    elif wanted:
        handler.head(
            206,
            Content_Length=len(data) - start,
            Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}",
        )
        handler.wfile.write(data[start:])
    else:
        no_ranges(handler, data)


def no_ranges(handler: Handler, data: bytes) -> None:
    """The whole file, whatever was asked for."""
    handler.head(200, Content_Length=len(data))
    handler.wfile.write(data)


def truncated(handler: Handler, data: bytes) -> None:
    """Promises all and sends half."""
    handler.head(200, Content_Length=len(data))
    handler.wfile.write(data[: len(data) // 2])


def quietly_truncated(handler: Handler, data: bytes) -> None:
    """Sends half and promises nothing."""
    handler.head(200)
    handler.wfile.write(data[: len(data) // 2])


def stalled(handler: Handler, data: bytes) -> None:
    """Sends half, then nothing, and holds the line."""
    handler.head(200, Content_Length=len(data))
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.server.ended.wait()


def silent(handler: Handler, data: bytes) -> None:
    """Takes the request and never answers."""
    handler.server.ended.wait()


def too_long(handler: Handler, data: bytes) -> None:
    """Goes on after the end, and does not say for how long."""
    handler.head(200)
    handler.wfile.write(data + bytes(100_000))


def another_length(handler: Handler, data: bytes) -> None:
    """Says from the start that it is longer than promised."""
    handler.head(200, Content_Length=len(data) + 1)
    handler.wfile.write(data + b"!")


def other_bytes(handler: Handler, data: bytes) -> None:
    """The right number of the wrong bytes."""
    handler.head(200, Content_Length=len(data))
    handler.wfile.write(bytes(len(data)))


def wrong_piece(handler: Handler, data: bytes) -> None:
    """Answers a range with another one."""
    handler.head(
        206, Content_Length=len(data), Content_Range=f"bytes 0-{len(data) - 1}/{len(data)}"
    )
    handler.wfile.write(data)


def trickling(handler: Handler, data: bytes) -> None:
    """Sends one byte now and then."""
    handler.head(200, Content_Length=len(data))
    for i in range(len(data)):
        handler.wfile.write(data[i : i + 1])
        if handler.server.ended.wait(0.05):
            return


def steady(handler: Handler, data: bytes) -> None:
    """Sends the file over and over, fast enough but without an end."""
    handler.head(200)
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(data[:2000])


def trickling_headers(handler: Handler, data: bytes) -> None:
    """Sends one byte of a header now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


def endless_continue(handler: Handler, data: bytes) -> None:
    """Asks to go on waiting, again and again."""
    while not handler.server.ended.wait(0.01):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def hundred_headers(handler: Handler, data: bytes) -> None:
    """Sends more headers than Python's HTTP client takes."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n")


def long_header(handler: Handler, data: bytes) -> None:
    """Sends a header that is longer than Python's HTTP client takes."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n")


def not_http(handler: Handler, data: bytes) -> None:
    """Speaks another protocol."""
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


def bad_chunk(handler: Handler, data: bytes) -> None:
    """Sends a chunk whose length is no number."""
    handler.head(200, Transfer_Encoding="chunked")
    handler.wfile.write(b"zz\r\n")


def hang_up(handler: Handler, data: bytes) -> None:
    """Closes the connection without a response."""


BEHAVIOURS: dict[str, Behaviour] = {
    function.__name__: function
    for function in (
        good,
        no_ranges,
        truncated,
        quietly_truncated,
        stalled,
        silent,
        too_long,
        another_length,
        other_bytes,
        wrong_piece,
        trickling,
        steady,
        trickling_headers,
        endless_continue,
        hundred_headers,
        long_header,
        not_http,
        bad_chunk,
        hang_up,
    )
}
