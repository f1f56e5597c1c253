"""The client for event loops; and what both clients do beyond asking once: Pillow, second requests, other servers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from dcgan.serving.client.aio import AsyncClient
from dcgan.serving.client.calls import Collector, HedgeBudget, Stream, read_all
from dcgan.serving.client.client import (
    Client,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)
from dcgan.v1 import generator_pb2 as pb


@pytest.fixture
async def aio(server):
    async with AsyncClient(server.target) as connected:
        yield connected


async def test_images_are_those_of_the_other_client(aio, client):
    for n in (1, 64, 65, 300):
        np.testing.assert_array_equal(
            await aio.generate(7, n, offset=3), client.generate(7, n, offset=3)
        )
    for options in (
        {"model": "classy", "label": 1},
        {"model": "tiny", "version": 2, "truncation": 0.5},
    ):
        np.testing.assert_array_equal(
            await aio.generate(7, 5, **options), client.generate(7, 5, **options)
        )


async def test_a_stream_and_a_walk_come_in_chunks(aio, client):
    chunks = [chunk async for chunk in aio.stream(9, 300, offset=11)]
    assert len(chunks) > 1
    np.testing.assert_array_equal(np.concatenate(chunks), client.generate(9, 300, offset=11))
    walk = [chunk async for chunk in aio.interpolate(1, 2, 100)]
    np.testing.assert_array_equal(
        np.concatenate(walk), np.concatenate(list(client.interpolate(1, 2, 100)))
    )


async def test_models_are_those_of_the_other_client(aio, client):
    assert await aio.models() == client.models()
    assert await aio.model("classy") == client.model("classy")


async def test_many_at_once_get_each_their_own(aio, expected):
    wanted = expected("tiny", 7, range(200))
    answers = await asyncio.gather(*(aio.generate(7, offset=i) for i in range(200)))
    np.testing.assert_array_equal(np.concatenate(answers), wanted)


async def test_failures_are_those_of_the_other_client(aio):
    with pytest.raises(RefusedError, match="label must be unset"):
        await aio.generate(7, label=1)
    with pytest.raises(RefusedError):
        await aio.generate(-1)
    with pytest.raises(DeadlineError):
        [chunk async for chunk in aio.stream(7, 2**32 - 1, model="slow", timeout_s=0.5)]
    async with AsyncClient("127.0.0.1:1") as nobody:
        with pytest.raises(UnreachableError, match="start one with dcgan-serve"):
            await nobody.generate(7)
    with pytest.raises(UnreachableError, match="is no address"):
        AsyncClient("a:b,c:d")


async def test_cancelling_a_call_drops_its_work(aio, server, read_metrics):
    calls = [asyncio.ensure_future(aio.generate(seed, 2000, model="slow")) for seed in range(2)]
    while not read_metrics(server)['dcgan_queue_requests{model="slow"}']:
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    while read_metrics(server)['dcgan_queue_requests{model="slow"}']:
        await asyncio.sleep(0.01)


async def test_large_images_that_do_not_fit_in_a_message_come_by_stream(start_server, large):
    with start_server(large) as server, Client(server.target) as client:
        async with AsyncClient(server.target) as aio:
            most = client.model().max_images_per_request
            assert most < 60
            images = client.generate(7, 60)
            np.testing.assert_array_equal(await aio.generate(7, 60), images)
            np.testing.assert_array_equal(client.generate(7, offset=59), images[59:])


async def test_pictures_are_images_of_pillow(aio, client):
    for model, mode in (("tiny", "RGB"), ("classy", "L")):
        images = client.generate(7, 3, model=model)
        for pictures in (client.pictures(7, 3, model=model), await aio.pictures(7, 3, model=model)):
            assert all(
                isinstance(picture, Image.Image) and picture.mode == mode for picture in pictures
            )
            np.testing.assert_array_equal(
                [np.asarray(picture).reshape(images[0].shape) for picture in pictures], images
            )


def test_a_server_that_stands_still_is_passed_over_by_a_second_request(pair, both_asked, expected):
    wanted = expected("tiny", 7, range(8))
    with Client(pair.target, hedge_after_s=0.1) as client:
        while not both_asked():
            list(client.stream(7, 1))  # which is never sent twice, and leaves the budget as it is
        with pair.standing():
            for i in range(8):
                np.testing.assert_array_equal(client.generate(7, offset=i)[0], wanted[i])


async def test_an_event_loop_passes_it_over_too(pair, both_asked, expected):
    wanted = expected("tiny", 7, range(8))
    async with AsyncClient(pair.target, hedge_after_s=0.1) as client:
        while not both_asked():
            [chunk async for chunk in client.stream(7, 1)]
        with pair.standing():
            for i in range(8):
                np.testing.assert_array_equal((await client.generate(7, offset=i))[0], wanted[i])


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


@pytest.mark.parametrize("sizes", [(), (3,), (3, 2)])
def test_a_server_that_sends_too_few_or_too_many_is_at_fault(sizes):
    collector = Collector(4)
    for size in sizes:
        collector.add(np.zeros((size, 2, 2, 3), np.uint8))
    with pytest.raises(FaultError, match=f"sent {sum(sizes)} images, not 4"):
        collector.images()


@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_reply_with_too_few_or_too_many_is_a_fault_too(sent):
    reply = pb.GenerateResponse(n=sent, height=2, width=2, channels=3, pixels=bytes(12 * sent))
    with pytest.raises(FaultError, match=f"sent {sent} images, not 2"):
        read_all(reply, 2)


def test_a_reply_of_another_size_than_it_says_is_a_fault():
    with pytest.raises(FaultError, match="sent 13 bytes as images of the shape"):
        read_all(pb.GenerateResponse(n=1, height=2, width=2, channels=3, pixels=bytes(13)), 1)


def test_a_stream_goes_on_with_the_model_that_it_began_with():
    def chunk(offset: int, digest: str) -> pb.GenerateStreamResponse:
        provenance = pb.Provenance(model="photos", version=3, digest=digest)
        return pb.GenerateStreamResponse(
            n=1, offset=offset, height=1, width=1, channels=1, pixels=b"x", provenance=provenance
        )

    stream = Stream(7, 10, 5, {"truncation": 0.5})
    assert stream.request() == pb.GenerateStreamRequest(seed=7, n=10, offset=5, truncation=0.5)
    stream.read(chunk(5, "a" * 64))
    wanted = pb.GenerateStreamRequest(
        seed=7, n=9, offset=6, truncation=0.5, model="photos", version=3
    )
    assert stream.request() == wanted
    with pytest.raises(
        FaultError, match=r"began with model photos 3 \(aaaaaaaaaaaa\) and goes on with .*bbb"
    ):
        stream.read(chunk(6, "b" * 64))


async def test_an_event_loop_goes_on_at_the_other_server(start_server, only, expected):
    with start_server(only("tiny")) as first, killed(start_server, only) as second:
        async with AsyncClient(f"{first.target},{second.target}") as client:
            streams = [client.stream(7, 5000) for _ in range(2)]  # one at each server
            heads = [await anext(stream) for stream in streams]
            singles = [asyncio.ensure_future(client.generate(7, offset=i)) for i in range(100)]
            second.process.kill()
            for head, stream in zip(heads, streams, strict=True):
                whole = np.concatenate([head, *[chunk async for chunk in stream]])
                np.testing.assert_array_equal(whole, expected("tiny", 7, range(5000)))
            np.testing.assert_array_equal(
                np.concatenate(await asyncio.gather(*singles)), expected("tiny", 7, range(100))
            )


@contextmanager
def killed(start_server, only) -> Iterator:
    """A server that the test kills."""
    running = start_server(only("tiny"))
    server = running.__enter__()
    try:
        yield server
    finally:
        with pytest.raises(AssertionError):  # it did not end as it should, for it was killed
            running.__exit__(None, None, None)


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
    """A server that ends the first request with a code as soon as its twin has come, and then may answer that one."""
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
        return pb.GenerateResponse(pixels=b"1", n=1, height=1, width=1, channels=1)

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


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_refusal_does_not_wait_for_the_second_request(kind):
    async with refusing(grpc.StatusCode.INVALID_ARGUMENT, twin_answers=False) as target:
        with pytest.raises(RefusedError, match="answers: no"):
            await ask(kind, target)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_busy_server_is_made_good_by_the_second_request(kind):
    async with refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, twin_answers=True) as target:
        assert (await ask(kind, target)).tobytes() == b"1"


async def test_a_client_that_was_closed_says_so(server):
    client = AsyncClient(server.target, hedge_after_s=1)
    await client.generate(7)
    await client.close()
    asks = (
        client.generate(7),
        client.generate(7, 100),
        anext(client.stream(7, 1)),
        anext(client.interpolate(1, 2, 3)),
        client.models(),
        client.model(),
    )
    for each in asks:
        with pytest.raises(UnreachableError, match="was closed; make another"):
            await each


async def test_a_second_request_after_no_time_is_refused_and_after_ages_is_taken(server):
    for seconds in (-1, float("nan")):
        with pytest.raises(RefusedError, match="hedge_after_s must be 0 or more"):
            AsyncClient(server.target, hedge_after_s=seconds)
    async with AsyncClient(server.target, hedge_after_s=float("inf")) as client:
        assert (await client.generate(7)).shape == (1, 8, 8, 3)


async def test_who_waits_when_a_client_is_closed_is_told_so_and_not_cancelled(server):
    client = AsyncClient(server.target)
    stream = client.stream(7, 10**6, timeout_s=1e6, model="slow")
    await anext(stream)
    waiting = [
        asyncio.ensure_future(call)
        for call in (client.generate(7, 64, model="slow"), read_to_the_end(stream))
    ]
    await asyncio.wait(waiting, timeout=0)
    await client.close()
    for task in waiting:
        with pytest.raises(UnreachableError, match="was closed; make another"):
            await task


async def read_to_the_end(stream: AsyncIterator) -> None:
    async for _ in stream:
        pass
