"""Second requests: when they are sent, and which answer counts."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest

from dcgan.serving.client import AsyncClient, Client, DeadlineError, RefusedError
from dcgan.serving.client.hedging import HedgeBudget
from dcgan.v1 import generator_pb2 as pb


@dataclass(frozen=True)
class Pair:
    """Two servers, of which the second can be made to stand still."""

    target: str
    first: Any
    second: Any

    @contextmanager
    def standing(self) -> Iterator[None]:
        self.second.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.second.process.send_signal(signal.SIGCONT)


@pytest.fixture
def pair(start_server, only) -> Iterator[Pair]:
    with start_server(only("tiny")) as first, start_server(only("tiny")) as second:
        yield Pair(f"{first.target},{second.target}", first, second)


@pytest.fixture
def both_asked(pair, read_metrics):
    """Whether both servers have made images."""
    return lambda: all(
        read_metrics(server)['dcgan_images_total{model="tiny"}']
        for server in (pair.first, pair.second)
    )


@asynccontextmanager
async def refusing(code: grpc.StatusCode, *, twin_answers: bool) -> AsyncIterator[str]:
    """A server that ends the first request with a code once the second has come.

    Args:
        code: status code of the first request.
        twin_answers: whether the second is answered then.
    """
    come, refused, asked = asyncio.Event(), asyncio.Event(), []

    async def generate(request, context):
        asked.append(request)
        if len(asked) == 1:
            await come.wait()
            context.add_done_callback(lambda _: refused.set())
            await context.abort(
                code, "no", (("grpc-retry-pushback-ms", "-1"),)
            )  # the channel shall not try again
        come.set()
        await (refused if twin_answers else asyncio.Event()).wait()
        provenance = pb.Provenance(model="tiny", version=1)
        return pb.GenerateResponse(
            pixels=b"1",
            n=1,
            height=1,
            width=1,
            channels=1,
            seed=request.seed,
            provenance=provenance,
        )

    handler = grpc.unary_unary_rpc_method_handler(
        generate, pb.GenerateRequest.FromString, pb.GenerateResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("dcgan.v1.GeneratorService", {"Generate": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def ask(kind: type[Client] | type[AsyncClient], target: str) -> np.ndarray:
    """One image, asked for twice."""
    if kind is Client:
        with Client(target, timeout_s=30, hedge_after_s=0.05) as client:
            return await asyncio.to_thread(client.generate, 7)
    async with AsyncClient(target, timeout_s=30, hedge_after_s=0.05) as aio:
        return await aio.generate(7)


@pytest.mark.slow
def test_a_server_that_stands_still_is_passed_over_by_a_second_request(pair, both_asked, expected):
    wanted = expected("tiny", 7, range(8))
    with Client(pair.target, hedge_after_s=0.1) as client:
        while not both_asked():
            list(client.stream(7, 1))  # which is never sent twice, and leaves the budget as it is
        with pair.standing():
            for i in range(8):
                np.testing.assert_array_equal(client.generate(7, offset=i)[0], wanted[i])


@pytest.mark.slow
async def test_an_event_loop_passes_it_over_too(pair, both_asked, expected):
    wanted = expected("tiny", 7, range(8))
    async with AsyncClient(pair.target, hedge_after_s=0.1) as client:
        while not both_asked():
            [chunk async for chunk in client.stream(7, 1)]
        with pair.standing():
            for i in range(8):
                np.testing.assert_array_equal((await client.generate(7, offset=i))[0], wanted[i])


@pytest.mark.slow
def test_without_a_second_request_it_is_waited_for(pair, both_asked):
    with Client(pair.target, timeout_s=3.0) as client:
        while not both_asked():
            client.generate(7)
        with pair.standing(), pytest.raises(DeadlineError):
            for i in range(2):
                client.generate(7, offset=i)


async def test_a_refusal_is_no_reason_for_a_second_request(server):
    with Client(server.target, hedge_after_s=30) as client, pytest.raises(RefusedError):
        client.generate(7, label=1)
    async with AsyncClient(server.target, hedge_after_s=30) as aio:
        with pytest.raises(RefusedError):
            await aio.generate(7, label=1)


def test_at_most_one_call_in_ten_is_sent_twice():
    budget = HedgeBudget()
    assert [budget.spend() for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(25):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_refusal_does_not_wait_for_the_second_request(kind):
    async with refusing(grpc.StatusCode.INVALID_ARGUMENT, twin_answers=False) as target:
        with pytest.raises(RefusedError, match="answers: no"):
            await ask(kind, target)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_busy_server_is_made_good_by_the_second_request(kind):
    async with refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, twin_answers=True) as target:
        assert (await ask(kind, target)).tobytes() == b"1"


async def test_a_second_request_after_no_time_is_refused_and_after_ages_is_taken(server):
    for seconds in (-1, float("nan")):
        with pytest.raises(RefusedError, match="hedge_after_s must be 0 or more"):
            AsyncClient(server.target, hedge_after_s=seconds)
    async with AsyncClient(server.target, hedge_after_s=float("inf")) as client:
        assert (await client.generate(7)).shape == (1, 8, 8, 3)
