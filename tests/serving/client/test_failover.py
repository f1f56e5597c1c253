"""Lists of servers that speak TLS: each is checked by its own name; a silent one is passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from dcgan.serving.client import AsyncClient, Client, UnreachableError, failover
from dcgan.serving.client.failover import FailoverStub, Turns
from dcgan.serving.client.retry import SERVICE_CONFIG
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import (
    GeneratorServiceServicer,
    add_GeneratorServiceServicer_to_server,
)

trustme = pytest.importorskip("trustme")


class Counting(GeneratorServiceServicer):
    """Answers with one pixel, and counts calls by server; refuses while it is in `down`."""

    def __init__(self, name: str, calls: Counter[str], down: set[str]) -> None:
        self.name = name
        self.calls = calls
        self.down = down

    def answer(self, context: grpc.ServicerContext, seed: int = 0) -> pb.GenerateResponse:
        self.calls[self.name] += 1
        if self.name in self.down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        provenance = pb.Provenance(model="tiny", version=1)
        return pb.GenerateResponse(
            n=1, height=1, width=1, channels=3, pixels=b"rgb", seed=seed, provenance=provenance
        )

    def Generate(self, request, context):  # noqa: N802
        return self.answer(context, request.seed)

    def GenerateStream(self, request, context):  # noqa: N802
        yield self.answer(context, request.seed)

    def GetModel(self, request, context):  # noqa: N802
        self.answer(context)
        return pb.GetModelResponse(model=pb.Model(name="tiny", version=1))


@pytest.fixture(autouse=True)
def few_retries(monkeypatch):
    """Lets gRPC repeat calls once, after a tenth of a second."""
    monkeypatch.setitem(SERVICE_CONFIG["methodConfig"][0]["retryPolicy"], "maxAttempts", 2)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def calls() -> Counter[str]:
    return Counter()


@pytest.fixture
def down() -> set[str]:
    return set()


@pytest.fixture
def serve(authority, calls, down) -> Iterator[Callable[..., int]]:
    """Starts a server with a certificate for one name; returns its port."""
    servers = []

    def start(certified: str, name: str | None = None) -> int:
        certificate = authority.issue_cert(certified)
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        pair = (certificate.private_key_pem.bytes(), chain)
        server = grpc.server(ThreadPoolExecutor(2))
        add_GeneratorServiceServicer_to_server(Counting(name or certified, calls, down), server)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        server.start()
        servers.append(server)
        return port

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture
def both(serve) -> str:
    """A list of two servers whose certificates are for different names."""
    return f"localhost:{serve('localhost')},127.0.0.1:{serve('127.0.0.1')}"


@pytest.fixture
def ca(authority) -> bytes:
    return authority.cert_pem.bytes()


async def test_each_server_of_a_list_is_checked_by_its_own_name(both, ca, calls):
    with Client(both, ca=ca) as client:
        for _ in range(4):
            assert client.generate(7).tobytes() == b"rgb"
        assert len(list(client.stream(7, 1))) == 1
        assert client.model().name == "tiny"
    assert calls == {"localhost": 3, "127.0.0.1": 3}

    calls.clear()
    async with AsyncClient(both, ca=ca) as aio:
        for _ in range(4):
            assert (await aio.generate(7)).tobytes() == b"rgb"
        assert len([chunk async for chunk in aio.stream(7, 1)]) == 1
        assert (await aio.model()).name == "tiny"
    assert calls == {"localhost": 3, "127.0.0.1": 3}


@pytest.mark.hostile(
    "A server of a list that shows the certificate of another one, with TLS",
    "gets no request; the others answer",
)
async def test_a_certificate_of_another_server_of_the_list_is_not_accepted(serve, ca, calls):
    real = serve("localhost")
    impostor = serve("localhost", "impostor")
    target = f"localhost:{real},127.0.0.1:{impostor}"
    with Client(target, ca=ca) as client:
        for _ in range(3):
            client.generate(7)
    with (
        Client(f"127.0.0.1:{impostor}", ca=ca, timeout_s=20) as client,
        pytest.raises(UnreachableError),
    ):
        client.generate(7)
    assert calls == {"localhost": 3}


async def test_a_server_that_does_not_answer_is_passed_over(both, ca, calls, down):
    down.add("localhost")
    with Client(both, ca=ca) as client:
        for _ in range(4):
            assert client.generate(7).tobytes() == b"rgb"
            assert len(list(client.stream(7, 1))) == 1
    assert calls["127.0.0.1"] == 8
    async with AsyncClient(both, ca=ca) as aio:
        for _ in range(2):
            assert (await aio.generate(7)).tobytes() == b"rgb"
            assert len([chunk async for chunk in aio.stream(7, 1)]) == 1
    assert calls["127.0.0.1"] == 12


async def test_if_no_server_answers_the_last_error_is_told(both, ca, down):
    down.update(("localhost", "127.0.0.1"))
    with Client(both, ca=ca) as client:
        with pytest.raises(UnreachableError):
            client.generate(7)
        with pytest.raises(UnreachableError):
            list(client.stream(7, 1))
    async with AsyncClient(both, ca=ca) as aio:
        with pytest.raises(UnreachableError):
            await aio.generate(7)


async def test_hedged_calls_go_to_both_servers(both, ca, calls):
    with Client(both, ca=ca, hedge_after_s=30) as client:
        for _ in range(2):
            client.generate(7)
    async with AsyncClient(both, ca=ca, hedge_after_s=30) as aio:
        for _ in range(2):
            await aio.generate(7)
    assert calls == {"localhost": 2, "127.0.0.1": 2}


async def test_hedged_calls_pass_over_a_server_that_does_not_answer(
    both, ca, calls, down, monkeypatch
):
    monkeypatch.setattr(failover, "_PASS_OVER_S", 3600.0)
    down.add("localhost")
    with Client(both, ca=ca, hedge_after_s=30) as client:
        for _ in range(4):
            assert client.generate(7).tobytes() == b"rgb"
    assert calls == {"localhost": 2, "127.0.0.1": 4}  # gRPC repeats the first call

    calls.clear()
    async with AsyncClient(both, ca=ca, hedge_after_s=30) as aio:
        for _ in range(4):
            assert (await aio.generate(7)).tobytes() == b"rgb"
    assert calls == {"localhost": 2, "127.0.0.1": 4}


def test_if_no_server_answers_a_hedged_call_the_last_error_is_told(both, ca, down):
    down.update(("localhost", "127.0.0.1"))
    with Client(both, ca=ca, hedge_after_s=30) as client, pytest.raises(UnreachableError):
        client.generate(7)


class SilentError(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


def test_servers_take_turns_and_silent_ones_come_last(monkeypatch):
    monkeypatch.setattr(failover, "_PASS_OVER_S", 3600.0)
    turns = Turns(3)
    assert [turns.order() for _ in range(3)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    turns.report(0, SilentError())
    assert [turns.order() for _ in range(3)] == [[1, 2, 0], [1, 2, 0], [2, 1, 0]]
    turns.report(0, None)
    assert turns.order() == [0, 1, 2]


class FakeCall:
    """A call under way of a server that does not answer; the stub of its server, too."""

    def __init__(self) -> None:
        self.Generate = self
        self.started = 0
        self.is_cancelled = False

    def future(self, request, *, timeout, metadata):
        self.started += 1
        return self

    def add_done_callback(self, callback) -> None:
        self.end = lambda: callback(self)

    def exception(self) -> grpc.RpcError:
        return SilentError()

    def cancel(self) -> None:
        self.is_cancelled = True


def test_a_call_that_is_cancelled_goes_to_no_other_server():
    servers = [FakeCall(), FakeCall(), FakeCall()]
    call = FailoverStub(servers).Generate.future(pb.GenerateRequest(), timeout=60, metadata=())
    servers[0].end()
    assert [server.started for server in servers] == [1, 1, 0]
    assert call.cancel()
    assert servers[1].is_cancelled
    servers[1].end()
    assert [server.started for server in servers] == [1, 1, 0]
