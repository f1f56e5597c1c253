"""A web server on the loopback that misbehaves to order, and models to fetch from it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dcgan.zoo.catalog import list_models
from dcgan.zoo.fetch import Patience
from dcgan.zoo.index import write_index

IMPATIENT = Patience(attempts=3, silence_s=0.3, pause_s=0.0)

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request as the next line of the script says, and well once the script has ended."""

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
    )
}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def patience() -> Patience:
    """For servers that are beside us: no pauses."""
    return IMPATIENT


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, and no settings from outside."""
    for variable in ("DCGAN_ZOO_INDEX", "DCGAN_ZOO_MODEL_REPOSITORY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def copy_as(toy: Path) -> Callable[[str, int], Path]:
    """Makes another model, or another version, beside the toy."""

    def copy(name: str, version: int) -> Path:
        folder = toy.parent.parent / name / str(version)
        shutil.copytree(toy, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(
            json.dumps(manifest | {"name": name, "version": version})
        )
        return folder

    return copy


@pytest.fixture
def zoo(toy: Path, server: Server, tmp_path: Path) -> str:
    """Address of an index that offers the models beside the toy: packs them when first asked for."""
    packed = tmp_path / "packed"
    write_index(
        [entry.release for entry in list_models("toy*", repository=toy.parent.parent)],
        packed,
        lambda _: None,
    )
    server.files.update({f"/zoo/{path.name}": path.read_bytes() for path in packed.iterdir()})
    return server.url("/zoo/index.json")
