"""The operators' HTTP port: its paths, and that nobody can exhaust it."""

import asyncio
import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from dcgan.serving.errors import ServingError
from dcgan.serving.observability import metrics_server
from dcgan.serving.observability.metrics_server import MetricsServer


class Readiness:
    value = True


@pytest.fixture
async def server():
    registry = CollectorRegistry()
    Counter("first", "One.", registry=registry).inc(3)
    Counter("second", "Two.", registry=registry)
    readiness = Readiness()
    server = MetricsServer(registry, lambda: readiness.value, "127.0.0.1", 0)
    server.readiness = readiness
    server.start()
    yield server
    await asyncio.to_thread(server.stop)


async def ask(server, target="/metrics", method="GET", **headers):
    def request():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers

    return await asyncio.to_thread(request)


async def test_each_path_has_its_answer_and_others_have_none(server):
    status, text, headers = await ask(server)
    assert (status, "first_total 3.0" in text) == (200, True)
    assert headers["content-type"].startswith("text/plain; version=")
    assert (await ask(server, "/healthz"))[:2] == (200, "alive\n")
    assert (await ask(server, "/readyz"))[:2] == (200, "ready\n")
    for path in ("/", "/metricsx", "/healthz/", "/favicon.ico", "/../metrics"):
        assert (await ask(server, path))[0] == 404
    assert (await ask(server, method="POST"))[0] == 405
    assert (await ask(server, method="HEAD"))[:2] == (200, "")


async def test_prometheus_chooses_names_and_format(server):
    _, text, _ = await ask(server, "/metrics?name[]=second_total")
    assert ("second_total" in text, "first_total" in text) == (True, False)
    _, text, headers = await ask(server, accept="application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_not_ready_is_an_error(server):
    server.readiness.value = False
    assert (await ask(server, "/readyz"))[:2] == (503, "not ready\n")
    assert (await ask(server, "/healthz"))[0] == 200


async def test_a_hanging_event_loop_is_not_alive(server, monkeypatch):
    monkeypatch.setattr(metrics_server, "_LOOP_TIMEOUT_S", 0.05)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.respond, "GET", "/healthz")
        response = asked.result(60)  # blocks the event loop until then
    assert response.status == 503


@pytest.mark.hostile(
    "1,100 half-sent requests to the metrics port",
    "cut off; metrics and gRPC answer others",
)
async def test_half_sent_requests_take_no_room_from_others(server, monkeypatch):
    monkeypatch.setattr(metrics_server, "_CONNECTION_TIMEOUT_S", 0.5)
    with ExitStack() as stack:
        for _ in range(200):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert len(server._connections) <= 64
        ends = time.monotonic() + 30
        while True:  # as soon as the first of them are timed out
            try:
                assert (await ask(server))[0] == 200
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < ends

    while len(server._connections):
        await asyncio.sleep(0)


@pytest.mark.hostile("Idle connections in all places of the metrics port", "closed for new ones")
async def test_idle_connections_make_room_for_a_probe(server):
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert (await ask(server, "/readyz"))[:2] == (200, "ready\n")


@pytest.mark.hostile("Garbage to the metrics port", "hung up on")
@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 100_000, b"\0\r\n\r\n"])
async def test_garbage_is_hung_up_on(server, data):
    def send():
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            try:
                connection.sendall(data)
                return connection.recv(100)
            except ConnectionError:
                return b""

    assert await asyncio.to_thread(send) == b""
    assert (await ask(server))[0] == 200


async def test_a_taken_port_is_named(server):
    message = f"127.0.0.1:{server.port} .*--metrics-port.* needs another --port and --http-port"
    with pytest.raises(ServingError, match=message):
        MetricsServer(CollectorRegistry(), lambda: True, "127.0.0.1", server.port).start()


@pytest.mark.hostile("An Accept header with a malformed version", "the usual format")
async def test_a_malformed_accept_header_gets_the_usual_format(server):
    status, _, headers = await ask(server, accept="application/openmetrics-text; version=abc")
    assert (status, headers["content-type"].startswith("text/plain")) == (200, True)


async def test_a_server_may_be_stopped_as_soon_as_it_was_started():
    for _ in range(20):
        server = MetricsServer(CollectorRegistry(), lambda: True, "127.0.0.1", 0)
        server.start()
        await asyncio.to_thread(server.stop)
