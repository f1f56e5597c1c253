"""The client for event loops, against real servers."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from dcgan.serving.client import (
    AsyncClient,
    Client,
    DeadlineError,
    RefusedError,
    UnreachableError,
)


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


@pytest.mark.slow
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

    with pytest.raises(UnreachableError, match="is not an address"):
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


@pytest.mark.slow
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


@pytest.mark.slow
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


async def test_a_walk_joins_any_two_images(aio, client):
    chunks = [chunk async for chunk in aio.interpolate(1, 2, 9, offset_a=5, offset_b=6)]
    walk = np.concatenate(list(client.interpolate(1, 2, 9, offset_a=5, offset_b=6)))
    np.testing.assert_array_equal(np.concatenate(chunks), walk)


def test_a_client_made_outside_of_event_loops_is_used_in_several(server, client):
    aio = AsyncClient(server.target)
    for seed in (7, 8):
        image = asyncio.run(aio.generate(seed))
        np.testing.assert_array_equal(image, client.generate(seed))

    async def use_and_close() -> int:
        async with aio:
            return sum([len(chunk) async for chunk in aio.stream(7, 300)])

    assert asyncio.run(use_and_close()) == 300
    with pytest.raises(UnreachableError, match="was closed; make another"):
        asyncio.run(aio.generate(7))


def test_two_event_loops_share_a_client_at_once(server, client):
    aio = AsyncClient(server.target)

    async def draw(seed: int) -> list[np.ndarray]:
        return [await aio.generate(seed, offset=i) for i in range(20)]

    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(lambda seed: asyncio.run(draw(seed)), (7, 8)))
    for seed, images in zip((7, 8), drawn, strict=True):
        np.testing.assert_array_equal(np.concatenate(images), client.generate(seed, 20))


async def test_a_client_that_is_pickled_is_a_new_one_with_the_same_settings(aio):
    image = await aio.generate(7)
    async with pickle.loads(pickle.dumps(aio)) as other:
        assert other._settings == aio._settings
        np.testing.assert_array_equal(await other.generate(7), image)
