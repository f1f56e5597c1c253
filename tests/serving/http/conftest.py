"""Manifests and connections for tests of HTTP."""

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dcgan.zoo.release import read_release


@pytest.fixture(scope="session")
def manifest(repository):
    """Of a model without classes, 8 x 8 in colour."""
    return read_release(repository / "tiny" / "2").manifest


@pytest.fixture(scope="session")
def class_manifest(repository):
    """Of a model with three classes, with names."""
    named = ("cat", "Dog", "1")
    return replace(read_release(repository / "classy" / "2").manifest, class_names=named)


@pytest.fixture
def get(server):
    """Sends one request to the server: a function of path and header fields."""

    def send(path: str, method: str = "GET", to=server, body=None, **headers: str):
        host, _, port = to.report.http_address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=fields)
            response = connection.getresponse()
            response.content = response.read()
        finally:
            connection.close()
        return response

    return send


@pytest.fixture
def raw(server):
    """Opens a socket to the server's HTTP: a context manager."""

    @contextmanager
    def connect(to=server) -> Iterator[socket.socket]:
        host, _, port = to.report.http_address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            yield connection

    return connect


@pytest.fixture
def problem():
    """Reads the problem document of a response."""

    def read(response) -> dict:
        assert response.getheader("content-type") == "application/problem+json"
        assert response.getheader("cache-control") == "no-store"
        return json.loads(response.content)

    return read


@pytest.fixture
async def connect():
    """Opens connections to a listener, which are closed after the test."""
    writers = []

    async def open_connection(listener, source="127.0.0.1"):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, local_addr=(source, 0)
        )
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
