"""Clients that do not keep to the rules, or barely, with raw sockets."""

import json
import resource
import socket
from contextlib import ExitStack

import numpy as np
import pytest

from dcgan.core.images import decode_png
from dcgan.serving.client import Client
from tests.serving.support import poll

TINY = "/v1/models/tiny/2"
CHUNKED = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = f"GET {TINY}/images/7.png HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_one(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One response with a content length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)

    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


def status_of(data: bytes) -> int:
    return int(data.split()[1])


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        CHUNKED + b"x\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_get_one_sentence(raw, data):
    with raw() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert status_of(answer) == 400
    problem = json.loads(answer.partition(b"\r\n\r\n")[2].splitlines()[0])
    assert problem["reason"] == "INVALID_REQUEST"


def test_http_1_0_is_answered_and_closed(raw):
    with raw() as connection:
        connection.sendall(f"GET {TINY}/images/7.png HTTP/1.0\r\n\r\n".encode())
        answer = read_all(connection)
    assert status_of(answer) == 200
    assert b"connection: close" in answer


def test_a_connection_serves_several_requests(raw):
    with raw() as connection:
        for _ in range(3):
            connection.sendall(GET)
            assert read_one(connection)[0] == 200


def test_pipelined_requests_are_answered_in_order(raw, expected):
    paths = [f"{TINY}/images/7.png?index={index}" for index in range(8)]
    with raw() as connection:
        for path in paths[:-1]:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        last = f"GET {paths[-1]} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        connection.sendall(last.encode())
        answer = read_all(connection)
    images = expected("tiny", 7, range(8))
    for image in images:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert np.array_equal(decode_png(rest[:length]), image)
        answer = rest[length:]

    assert answer == b""


def test_a_request_that_arrives_byte_by_byte_is_answered(raw):
    with raw() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET:
            connection.sendall(bytes([byte]))
        assert read_one(connection)[0] == 200


def test_a_long_target_is_refused(raw):
    with raw() as connection:
        connection.sendall(b"GET /" + b"x" * 40_000)
        assert status_of(read_all(connection)) == 414


def test_a_large_head_is_refused(raw):
    with raw() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 5000)
        assert status_of(read_all(connection)) == 431


@pytest.mark.hostile("HTTP requests that are refused unread", "each is counted once, by its reason")
@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET /" + b"x" * 40_000, 414, "TARGET_TOO_LONG"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "TARGET_TOO_LONG"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 5000, 431, "HEADERS_TOO_LARGE"),
        (b"hello\r\n\r\n", 400, "INVALID_REQUEST"),
        (CHUNKED + b"ffffffffffffffffff\r\n", 400, "INVALID_REQUEST"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", 413, "BODY_TOO_LARGE"),
    ],
)
def test_every_refusal_is_counted_once(raw, server, read_metrics, *, data, status, reason):
    def counts() -> tuple[float, float, float]:
        metrics = read_metrics(server)
        ended = sum(
            value
            for name, value in metrics.items()
            if name.startswith("dcgan_http_requests_total") and f'status="{status}"' in name
        )
        rejected = metrics.get(f'dcgan_rejected_total{{reason="{reason}"}}', 0)
        return metrics["dcgan_http_started_total"], ended, rejected

    before = counts()
    with raw() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert status_of(read_all(connection)) == status
    assert counts() == tuple(count + 1 for count in before)


def test_an_endless_body_is_cut_off(raw):
    head = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw() as connection:
        connection.sendall(head)
        with pytest.raises((ConnectionError, AssertionError)):
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            assert connection.recv(1) == b"x"


def test_an_upgrade_is_ignored(raw):
    fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with raw() as connection:
        connection.sendall(GET.replace(b"\r\n\r\n", f"\r\n{fields}\r\n".encode()))
        status, headers, _ = read_one(connection)
    assert (status, headers["connection"]) == (200, "close")


def test_an_absolute_target_is_a_path(raw):
    with raw() as connection:
        connection.sendall(GET.replace(b"GET ", b"GET http://a"))
        assert read_one(connection)[0] == 200


@pytest.mark.slow
def test_a_client_that_leaves_takes_its_work_with_it(start_server, only, raw, read_metrics):
    with start_server(only("slow"), "--intra-op-threads", "1") as server:
        with raw(server) as connection:
            path = "/v1/models/slow/2/grids/1.png?n=1024"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            cancelled = 'dcgan_work_total{model="slow",outcome="cancelled"}'
            accepted = 'dcgan_work_total{model="slow",outcome="accepted"}'
            while not read_metrics(server)[accepted]:
                pass
            linger = np.array([1, 0], np.int32).tobytes()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        while not (metrics := read_metrics(server))[cancelled]:
            assert not metrics['dcgan_work_total{model="slow",outcome="ok"}']
        key = 'dcgan_http_requests_total{resource="grids",status="499"}'
        while read_metrics(server).get(key) != 1:
            pass


@pytest.fixture
def many_files():
    """Lets this process open 6,000 files."""
    wanted = 6000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2 * wanted:
        pytest.skip(f"this system allows {hard} open files")
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
@pytest.mark.hostile("5,000 idle HTTP connections", "gRPC and HTTP are answered; none is lost")
def test_5000_idle_connections_leave_both_doors_open(start_server, only, raw, read_metrics):
    wanted = 5000
    requests = 50
    with start_server(only("tiny"), "--no-http-access-log") as server, ExitStack() as idle:
        host, _, port = server.report.http_address.rpartition(":")
        with Client(server.target) as client:
            for i in range(wanted):
                idle.enter_context(socket.create_connection((host, int(port))))
                if i % (wanted // requests) == 0:
                    assert client.generate(seed=i).shape == (1, 8, 8, 3)
            for _ in range(requests):
                with raw(server) as connection:
                    connection.sendall(GET)
                    assert read_one(connection)[0] == 200
        idle.close()

        metrics = read_metrics(server)
        work = {
            outcome: metrics[f'dcgan_work_total{{model="tiny",outcome="{outcome}"}}']
            for outcome in ("offered", "accepted", "ok")
        }
        assert work == dict.fromkeys(("offered", "accepted", "ok"), 2 * requests)
        poll(lambda: read_metrics(server)["dcgan_http_connections"] == 0)


def test_idle_connections_leave_grpc_alone(server, client, raw, read_metrics):
    connections = [
        socket.create_connection(tuple(server.report.http_address.split(":"))) for _ in range(300)
    ]

    try:
        assert client.generate(seed=7, n=2).shape == (2, 8, 8, 3)
        with raw() as connection:
            connection.sendall(GET)
            assert read_one(connection)[0] == 200
        assert read_metrics(server)["dcgan_http_connections"] >= 300
    finally:
        for connection in connections:
            connection.close()
    while read_metrics(server)["dcgan_http_connections"] > 10:
        pass
