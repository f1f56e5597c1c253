"""The threads: real engines, and work that arrives in odd ways."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from dcgan.core import noise
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.errors import ServingError
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.errors import EngineStuckError
from dcgan.serving.scheduling.image_job import ImageJob, Latents
from dcgan.serving.scheduling.work_item import WorkState
from dcgan.zoo.repository import find_release


@pytest.fixture
def engines(repository):
    release = find_release(repository, "tiny")
    path = release.folder / "generator.onnx"
    config = EngineConfig(device="cpu", instances=1, intra_op_threads=1, max_batch=8)
    return [
        open_engines(path, release.manifest, config)[0] for _ in range(2)
    ]  # two objects, so that tests can tell


@pytest.fixture
async def dispatcher(engines):
    made = Dispatcher(
        engines,
        Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=10_000, engines=2),
        Metrics().of_model("tiny"),
    )
    yield made
    await made.stop()


def demand(n: int) -> Demand:
    return Demand(images=n, request_images=n, arrived=0.0)


def draw(n: int):
    return lambda: Latents(noise.latents(7, 0, n, 8))


async def test_a_large_request_wakes_every_engine_that_it_can_use(engines, dispatcher):
    both = threading.Barrier(2, timeout=30)
    for engine in engines:
        original = engine.run
        engine.run = lambda *given, original=original: (both.wait(), original(*given))[1]
    images = await dispatcher.submit(
        demand(16), draw(16)
    )  # two batches: each waits until the other runs, too
    assert [len(part) for part in images.parts] == [8, 8]


async def test_one_request_after_the_other_goes_to_the_engine_that_is_warm(engines, dispatcher):
    used = []
    for engine in engines:
        engine.run = lambda *given, engine=engine, original=engine.run: (
            used.append(engine),
            original(*given),
        )[1]
    for _ in range(20):
        while len(dispatcher._idle) < len(engines):
            await asyncio.sleep(0)
        await dispatcher.submit(demand(1), draw(1))

    assert used == 20 * [used[0]]


async def test_the_noise_of_many_images_is_drawn_beside_the_loop(dispatcher):
    threads = []

    def record() -> Latents:
        threads.append(threading.current_thread())
        return draw(1000)()

    images = await dispatcher.submit(demand(1000), record)
    assert sum(len(part) for part in images.parts) == 1000
    assert threads[0] is not threading.main_thread()


async def test_noise_of_work_that_was_called_off_is_not_drawn(dispatcher):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    released, drawn = threading.Event(), []

    def draw_later(name: str):
        return lambda: (drawn.append(name), released.wait(30), draw(100)())[2]

    first, second, third = (
        dispatcher.submit(demand(100), draw_later(name)) for name in ("first", "second", "third")
    )
    second.cancel()
    await asyncio.sleep(0)  # one turn of the loop, in which the dispatcher hears of it
    released.set()
    await asyncio.gather(first, third)
    assert drawn == ["first", "third"]


async def test_noise_that_cannot_be_drawn_fails_its_request_alone(dispatcher):
    def fail() -> Latents:
        raise ValueError("no noise")

    for n in (1, 1000):
        with pytest.raises(EngineError):
            await dispatcher.submit(demand(n), fail)
    settled = dispatcher.counts().settled
    assert (settled[WorkState.FAILED], settled[WorkState.CANCELLED]) == (2, 0)
    assert len((await dispatcher.submit(demand(1), draw(1))).parts[0]) == 1
    assert dispatcher.queued_images() == 0


async def test_cancelling_one_of_many_leaves_the_others_right(engines, dispatcher):
    cancelled = threading.Event()
    for engine in engines:
        original = engine.run
        engine.run = lambda *given, original=original: (cancelled.wait(30), original(*given))[1]
    futures = [dispatcher.submit(demand(20), draw(20)) for _ in range(10)]
    futures[3].cancel()
    await asyncio.sleep(0)  # one turn of the loop, in which the dispatcher hears of it
    cancelled.set()
    results = await asyncio.gather(*futures, return_exceptions=True)
    wanted = np.concatenate((await dispatcher.submit(demand(20), draw(20))).parts)
    for i, images in enumerate(results):
        assert isinstance(images, asyncio.CancelledError) == (i == 3)
        if i != 3:
            np.testing.assert_array_equal(np.concatenate(images.parts), wanted)
    counts = dispatcher.counts()

    assert (counts.accepted, counts.waiting) == (11, 0)
    assert (counts.settled[WorkState.OK], counts.settled[WorkState.CANCELLED]) == (10, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_died_is_revived_and_its_batch_fails(engines, dispatcher):
    died = []

    def die(original, *given):
        if died:
            return original(*given)
        died.append(threading.current_thread())
        raise SystemExit  # which ends a thread, without a word

    for engine in engines:
        engine.run = partial(die, engine.run)
    jobs = [dispatcher.submit(demand(8), draw(8)) for _ in range(20)]
    while not died:
        await asyncio.sleep(0)
    await asyncio.to_thread(died[0].join, 30)
    assert not dispatcher.check(60.0)
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert any(isinstance(result, EngineError) for result in results)  # the batch that it was at
    assert dispatcher.check(60.0)
    assert all(thread.is_alive for thread in dispatcher._threads)
    assert sum(len(part) for part in (await dispatcher.submit(demand(32), draw(32))).parts) == 32
    assert dispatcher.counts().waiting == 0


async def test_a_batch_that_does_not_give_up_fails_and_the_server_is_told(engines):
    began, released, now = threading.Event(), threading.Event(), 0.0
    original = engines[0].run
    engines[0].run = lambda *given: (began.set(), released.wait(30), original(*given))[2]
    batcher = Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=100)
    dispatcher = Dispatcher(engines[:1], batcher, Metrics().of_model("tiny"), lambda: now)
    hanging = dispatcher.submit(demand(8), draw(8))

    assert await asyncio.to_thread(began.wait, 30)
    behind = dispatcher.submit(demand(8), draw(8))
    for now in (20.0, 40.0, 60.0):  # noqa: B007 - the clock reads it
        assert dispatcher.check(60.0)
    now = 61.0
    assert not dispatcher.check(60.0)
    with pytest.raises(EngineStuckError):
        await behind
    for now in (80.0, 100.0, 120.0):  # noqa: B007 - the clock reads it
        assert not dispatcher.check(60.0)
    now = 122.0
    with pytest.raises(
        ServingError, match="for over 120 s and cannot be terminated; restart the server"
    ):
        dispatcher.check(60.0)
    with pytest.raises(EngineError):
        await hanging
    released.set()
    await dispatcher.stop()


async def test_a_slow_batch_that_ends_as_it_is_told_to_give_up_leaves_the_next_alone(engines):
    began, late, following, told = (threading.Event() for _ in range(4))
    original, watching, now = engines[0].run, False, 0.0

    def run(*given):
        if began.is_set():
            following.set()
            told.wait(30)
        else:
            began.set()
            late.wait(30)
        return original(*given)

    def clock() -> float:
        if not watching or threading.current_thread() is not threading.main_thread():
            return now if threading.current_thread() is threading.main_thread() else 0.0
        # The watchdog has seen the first batch; before it can act, the engine is at the second.
        late.set()
        assert following.wait(30)
        return 70.0

    engines[0].run = run
    batcher = Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=100)
    dispatcher = Dispatcher(engines[:1], batcher, Metrics().of_model("tiny"), clock)
    first = dispatcher.submit(demand(8), draw(8))
    assert await asyncio.to_thread(began.wait, 30)
    second = dispatcher.submit(demand(8), draw(8))
    for now in (25.0, 50.0):  # noqa: B007 - the clock reads it
        assert dispatcher.check(60.0)
    watching = True
    assert not dispatcher.check(60.0)
    told.set()
    for images in await asyncio.gather(first, second):
        assert [len(part) for part in images.parts] == [8]
    await dispatcher.stop()


@pytest.mark.hostile(
    "A process that is stopped for a while and continued",
    "its sleep does not count as a stalled engine",
)
async def test_time_in_which_the_process_was_frozen_does_not_count(engines):
    began, released, now = threading.Event(), threading.Event(), 0.0
    original = engines[0].run
    engines[0].run = lambda *given: (began.set(), released.wait(30), original(*given))[2]
    batcher = Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=100)
    dispatcher = Dispatcher(engines[:1], batcher, Metrics().of_model("tiny"), lambda: now)
    running = dispatcher.submit(demand(8), draw(8))

    assert await asyncio.to_thread(began.wait, 30)
    now = 1000.0  # stopped, and continued a quarter of an hour later
    assert dispatcher.check(60.0)
    now = 1020.0
    assert dispatcher.check(60.0)
    released.set()
    assert [len(part) for part in (await running).parts] == [8]
    await dispatcher.stop()


@pytest.fixture
async def fragile(engines):
    """A dispatcher with one engine that fails on batches with a latent vector above 3."""
    engine = engines[0]
    original = engine.run
    sizes = []

    def run(z, *rest):
        sizes.append(len(z))
        if (z == 4).any():
            raise EngineError("poison")
        return original(z, *rest)

    engine.run = run
    batcher = Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=100)
    dispatcher = Dispatcher([engine], batcher, Metrics().of_model("tiny"))
    return dispatcher, sizes


@pytest.mark.hostile(
    "A request that makes its batch fail",
    "fails alone; its batch-mates are answered",
)
async def test_a_poisoned_job_fails_alone(fragile, caplog):
    dispatcher, sizes = fragile
    poison = Latents(np.full((1, 8), 4, np.float32))
    began, released = threading.Event(), threading.Event()
    engine = dispatcher._threads[0].engine
    run = engine.run
    engine.run = lambda *given: (began.set(), released.wait(30), run(*given))[2]
    first = dispatcher.submit(demand(1), draw(1))

    assert await asyncio.to_thread(began.wait, 30)
    jobs = [dispatcher.submit(demand(1), (lambda: poison) if i == 5 else draw(1)) for i in range(8)]
    released.set()
    results = await asyncio.gather(first, *jobs, return_exceptions=True)
    assert [isinstance(result, EngineError) for result in results] == [i == 6 for i in range(9)]
    assert sizes == [1, 8, 4, 4, 2, 1, 1, 2]
    counts = dispatcher.counts()
    assert (counts.settled[WorkState.OK], counts.settled[WorkState.FAILED]) == (8, 1)
    assert (counts.waiting, dispatcher._batcher.running_images) == (0, 0)
    assert sum("the engine failed on 1 images" in line for line in caplog.messages) == 1
    await dispatcher.stop()
