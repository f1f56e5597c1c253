"""The PNG queue: what it admits, and which requests wait for which."""

import asyncio
import itertools
import math

import numpy as np
import pytest

from dcgan.core.images import decode_png, untile
from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.errors import DeadlineUnreachableError, QueueFullError


def make_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


def demand(n: int, left_s=math.inf, *, whole=0, more=False) -> Demand:
    return Demand(
        images=n, request_images=whole or n, arrived=0.0, deadline=left_s, is_continuation=more
    )


async def encode(queue: PngQueue, n: int, *, is_grid=False) -> list[bytes]:
    images = make_images(n)
    with queue.reserve(demand(n), is_grid=is_grid) as reservation:
        return await queue.encode(reservation, [images[:3], images[3:]])


def reserve(queue: PngQueue, *arguments, is_grid=False, **options):
    return queue.reserve(demand(*arguments, **options), is_grid=is_grid)


@pytest.fixture
def one_second_per_task() -> PngQueue:
    """A queue whose tasks of 16 images seem to take a second each: 32 images per second."""
    seconds = itertools.count()
    return PngQueue(1000, clock=lambda: float(next(seconds)))


async def test_every_image_is_encoded_in_order():
    for n in (1, 3, 40):
        files = await encode(PngQueue(100), n)
        np.testing.assert_array_equal([decode_png(png) for png in files], make_images(n))
        (grid,) = await encode(PngQueue(100), n, is_grid=True)
        columns = decode_png(grid).shape[1] // 8
        np.testing.assert_array_equal(untile(decode_png(grid), n, columns=columns), make_images(n))


async def test_a_full_queue_refuses_and_says_when_to_come_back():
    queue = PngQueue(100)
    # An empty queue admits anything, and so does any queue the rest of an admitted request.
    with reserve(queue, 1000), reserve(queue, 50, more=True):
        assert queue.waiting_images() == 1050
        with pytest.raises(QueueFullError) as caught, reserve(queue, 1):
            pass
    assert caught.value.retry_after_s > 0
    assert queue.waiting_images() == 0
    with reserve(queue, 60), reserve(queue, 40):
        assert queue.waiting_images() == 100


async def test_a_wrong_estimate_does_not_refuse_for_ever(one_second_per_task):
    queue = one_second_per_task
    with reserve(queue, 16) as reservation:
        await queue.encode(reservation, [make_images(16)])  # a stall: 32 images per second
    refusals = 0
    for _ in range(20):
        try:
            with reserve(queue, 320, 10.0) as reservation:
                await queue.encode(reservation, [make_images(320)])
        except DeadlineUnreachableError:
            refusals += 1
        else:
            break
    assert 0 < refusals < 20

    # The measurement counts in full: what was doubted once is not doubted any more.
    with pytest.raises(DeadlineUnreachableError), reserve(queue, 320, 10.0):
        pass


async def test_other_work_will_correct_an_estimate(one_second_per_task):
    queue = one_second_per_task
    with reserve(queue, 16) as reservation:
        await queue.encode(reservation, [make_images(16)])
    with reserve(queue, 16):
        for _ in range(20):
            with pytest.raises(DeadlineUnreachableError), reserve(queue, 320, 10.0):
                pass


async def test_a_deadline_that_cannot_be_met_is_refused(one_second_per_task):
    queue = one_second_per_task
    with reserve(queue, 16, 0.001):  # nothing is known yet
        pass
    with reserve(queue, 32) as reservation:
        await queue.encode(reservation, [make_images(32)])
    with reserve(queue, 320), reserve(queue, 320):
        # 960 images: 30 s.
        with pytest.raises(DeadlineUnreachableError), reserve(queue, 320, 30.0):
            pass
        with reserve(queue, 320, 40.0):
            pass
        # A small request is behind one task of each: 40 images.
        with reserve(queue, 8, 2.0):
            pass
        with pytest.raises(DeadlineUnreachableError), reserve(queue, 8, 1.0):
            pass
        # It is not behind a grid, which is one long task.
        with reserve(queue, 320, more=True, is_grid=True), reserve(queue, 8, 2.0):
            pass

    # Alone, it has one of the two threads: 20 s.
    with pytest.raises(DeadlineUnreachableError), reserve(queue, 320, 15.0):
        pass
    # The first images of a stream.
    with pytest.raises(DeadlineUnreachableError), reserve(queue, 8, 15.0, whole=320):
        pass


async def test_a_small_request_does_not_wait_for_a_large_one():
    queue = PngQueue(10_000)
    large = asyncio.create_task(encode(queue, 4000))
    while not 0 < queue.waiting_images() < 4000:
        await asyncio.sleep(0)
    await encode(queue, 1)
    assert queue.waiting_images() > 1000
    large.cancel()
    await asyncio.wait([large])
    assert queue.waiting_images() == 0
