"""Generation behind the protocols: engines and the PNG queue share the time of a request."""

import asyncio
import itertools

import grpc
import numpy as np
import pytest

from dcgan.serving.api.generation import Generation
from dcgan.serving.api.service import GeneratorService
from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.encoding.response_cache import ResponseCache
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob
from dcgan.serving.scheduling.work_item import WorkItem
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release

PNG = pb.IMAGE_FORMAT_PNG


def make_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


def demand(n: int, *, more=False) -> Demand:
    return Demand(images=n, request_images=n, arrived=0.0, is_continuation=more)


async def test_engines_have_to_leave_the_time_that_writing_takes(repository, answering):
    # Each task of 16 images seems to take a second: 32 per second.
    seconds = itertools.count()
    queue = PngQueue(1000, clock=lambda: float(next(seconds)))
    with queue.reserve(demand(32), is_grid=False) as reservation:
        await queue.encode(reservation, [make_images(32)])

    # The engine counts as one that makes 16 images per second.
    batcher = Batcher[ImageJob](max_batch=16, quantum=16, queue_limit=1000)
    slow = WorkItem(demand=demand(16))
    batcher.admit(slow)
    batcher.enqueue(slow)
    batcher.finish(batcher.next_batch(0.0)[0], 1.0)

    release, metrics = find_release(repository, "tiny"), Metrics()
    file = release.manifest.file("onnx")
    config = EngineConfig(device="cpu", instances=1)
    engines = open_engines(release.path(file), release.manifest, config)
    dispatcher = Dispatcher(engines, batcher, metrics.of_model("tiny"))
    replies = ReplyEncoder(release.manifest, pb.Provenance(model="tiny"))
    model = ServedModel(release.manifest, file, "CPU", Agreement.EXACT, dispatcher, queue, replies)
    generation = Generation()
    generation.open(ModelRegistry([model]))
    async with answering(GeneratorService(generation, metrics)) as stub:
        request = pb.GenerateRequest(n=64, format=PNG)
        # 4 s to make, 4 s to encode.
        with pytest.raises(grpc.aio.AioRpcError, match="ready in 8 s but the deadline is in [78]"):
            await stub.Generate(request, timeout=8)
        assert len((await stub.Generate(request, timeout=20)).png) == 64
    await dispatcher.stop()


async def test_streams_of_png_share_the_cache_with_other_requests(only, answering):
    metrics = Metrics()
    model = await load_model(
        find_release(only("tiny"), "tiny"),
        EngineConfig(device="cpu"),
        ModelConfig(queue_images=100, png_queue_images=100),
        metrics,
    )
    generation = Generation(cache=ResponseCache(2**24))
    generation.open(ModelRegistry([model]))
    async with answering(GeneratorService(generation, metrics)) as stub:

        async def stream(n: int, image_format: int = PNG) -> list[bytes]:
            request = pb.GenerateStreamRequest(seed=7, n=n, format=image_format)
            return [file async for chunk in stub.GenerateStream(request) for file in chunk.png]

        def drawn() -> int:
            return model.dispatcher.counts().offered

        # The first stream fills the cache, for streams and for single replies.
        files = await stream(100)
        first = drawn()
        assert await stream(100) == files
        reply = await stub.Generate(pb.GenerateRequest(seed=7, n=2, offset=98, format=PNG))
        assert list(reply.png) == files[98:]
        assert drawn() == first

        # Grids are other files.
        await stream(100, pb.IMAGE_FORMAT_PNG_GRID)
        assert drawn() > first

        # What a longer stream has to draw is admitted as any request is.
        full = pytest.raises(grpc.aio.AioRpcError, match="queue of 100 images is full")
        with model.png_queue.reserve(demand(100), is_grid=False), full:
            await stream(200)
        assert (await stream(200))[:100] == files
        assert model.png_queue.waiting_images() == 0
    await model.dispatcher.stop()


async def test_a_stream_is_taken_on_by_the_same_rules(only, answering):
    metrics, config = Metrics(), ModelConfig(queue_images=100, png_queue_images=100)
    release = find_release(only("tiny"), "tiny")
    model = await load_model(release, EngineConfig(device="cpu"), config, metrics)
    generation = Generation()
    generation.open(ModelRegistry([model]))
    request = pb.GenerateStreamRequest(n=200, format=PNG)
    async with answering(GeneratorService(generation, metrics)) as stub:
        full = pytest.raises(grpc.aio.AioRpcError, match="queue of 100 images is full")
        with model.png_queue.reserve(demand(100), is_grid=False), full:
            await stub.GenerateStream(request).read()
        assert model.dispatcher.counts().offered == 0  # no image was made for nothing

        # The rest of an admitted request takes no room from others.
        with model.png_queue.reserve(demand(60, more=True), is_grid=False):
            assert sum([len(chunk.png) async for chunk in stub.GenerateStream(request)]) == 200
        assert model.png_queue.waiting_images() == 0

        # A cancelled stream leaves nothing behind.
        stream = stub.GenerateStream(pb.GenerateStreamRequest(n=2**32 - 1, format=PNG))
        await stream.read()
        stream.cancel()
        while model.png_queue.waiting_images() or model.dispatcher.queued_images():
            await asyncio.sleep(0)
    await model.dispatcher.stop()
