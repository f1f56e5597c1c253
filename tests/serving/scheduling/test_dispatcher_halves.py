"""The halves of a batch on which an engine failed, when the engine hangs on one of them."""

import asyncio
import threading

import numpy as np
import pytest

from dcgan.serving.engine.base import EngineError
from dcgan.serving.errors import ServingError
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob, Latents


class HangingEngine:
    """Fails on every batch of several images, and hangs on the first image alone."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.hangs = threading.Event()
        self.released = threading.Event()
        self.gathered = threading.Event()

    def run(self, z, *_):
        if not self.began.is_set():
            self.began.set()
            self.gathered.wait(30)
        elif len(z) > 1:
            raise EngineError("several images")
        else:
            self.hangs.set()
            self.released.wait(30)
        return np.zeros((len(z), 8, 8, 3), np.uint8)

    def padding(self, _):
        return 0


@pytest.mark.hostile(
    "A batch that fails, and whose half hangs",
    "the halves behind it fail with it",
)
async def test_halves_behind_one_that_hangs_fail_with_it():
    engine, now = HangingEngine(), 0.0
    batcher = Batcher[ImageJob](max_batch=8, quantum=8, queue_limit=100)
    dispatcher = Dispatcher([engine], batcher, Metrics().of_model("tiny"), lambda: now)

    def submit():
        demand = Demand(images=1, request_images=1, arrived=0.0)
        return dispatcher.submit(demand, lambda: Latents(np.zeros((1, 8), np.float32)))

    first = submit()
    assert await asyncio.to_thread(engine.began.wait, 30)
    halves = [submit(), submit()]
    engine.gathered.set()
    assert await asyncio.to_thread(engine.hangs.wait, 30)
    await first

    for now in (30.0, 60.0, 90.0, 120.0):  # noqa: B007 - the clock reads it
        dispatcher.check(60.0)
    now = 150.0
    with pytest.raises(ServingError, match="cannot be terminated"):
        dispatcher.check(60.0)
    results = await asyncio.wait_for(asyncio.gather(*halves, return_exceptions=True), 10)
    assert [type(result) for result in results] == [EngineError, EngineError]

    engine.released.set()
    await dispatcher.stop()
