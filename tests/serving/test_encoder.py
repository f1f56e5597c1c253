"""The queue of images that are to be written as PNG: what it takes on, and who waits for whom."""

import asyncio
import itertools

import grpc
import numpy as np
import pytest

from dcgan.core.images import decode_png, untile
from dcgan.serving.api.errors import Refusal
from dcgan.serving.api.service import GeneratorService
from dcgan.serving.encoding.codec import Codec
from dcgan.serving.encoding.png_queue import Encoder
from dcgan.serving.engine.cpu import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.models.served_model import Catalogue, ModelConfig, ServedModel, load_model
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher, Ticket
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.job import Job
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release

PNG, GRID = pb.IMAGE_FORMAT_PNG, pb.IMAGE_FORMAT_PNG_GRID


@pytest.fixture
def codec(repository) -> Codec:
    return Codec(find_release(repository, "tiny").manifest, pb.Provenance(model="tiny"))


def make_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


async def encode(
    encoder: Encoder, n: int, image_format: pb.ImageFormat = PNG
) -> pb.GenerateResponse:
    images = make_images(n)
    with encoder.admit(n, image_format) as place:
        message = await encoder.encode(
            place, pb.GenerateResponse, 5, [images[:3], images[3:]], image_format
        )
    return pb.GenerateResponse.FromString(message)


async def test_a_reply_holds_every_image_in_order(codec):
    for n in (1, 3, 40):
        reply = await encode(Encoder(codec, 100), n)
        assert (reply.n, reply.offset, reply.height, reply.provenance.model) == (n, 5, 8, "tiny")
        np.testing.assert_array_equal([decode_png(png) for png in reply.png], make_images(n))
        (grid,) = (await encode(Encoder(codec, 100), n, GRID)).png
        columns = decode_png(grid).shape[1] // 8
        np.testing.assert_array_equal(untile(decode_png(grid), n, columns=columns), make_images(n))


async def test_a_full_queue_refuses_and_says_when_to_come_back(codec):
    encoder = Encoder(codec, 100)
    with (
        encoder.admit(1000, PNG),
        encoder.admit(50, PNG, more=True),
    ):  # an empty queue takes anything, and what it has begun
        assert encoder.waiting_images() == 1050
        with pytest.raises(Refusal) as caught, encoder.admit(1, PNG):
            pass
    assert (caught.value.code, caught.value.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUEUE_FULL",
    )
    assert caught.value.retry_s > 0
    assert encoder.waiting_images() == 0
    with encoder.admit(60, PNG), encoder.admit(40, PNG):
        assert encoder.waiting_images() == 100


async def test_a_deadline_that_cannot_be_met_is_refused(codec):
    seconds = itertools.count()
    encoder = Encoder(
        codec, 1000, clock=lambda: float(next(seconds))
    )  # each turn of 16 takes a second: 32 a second
    with encoder.admit(16, PNG, left_s=0.001):  # nothing is known yet
        pass
    with encoder.admit(32, PNG) as place:
        await encoder.encode(place, pb.GenerateResponse, 0, [make_images(32)], PNG)
    with encoder.admit(320, PNG), encoder.admit(320, PNG):
        with (
            pytest.raises(Refusal) as caught,
            encoder.admit(320, PNG, left_s=30.0),
        ):  # 960 images: 30 s
            pass
        assert caught.value.reason == "DEADLINE_UNREACHABLE"
        with encoder.admit(320, PNG, left_s=40.0):
            pass
        with encoder.admit(8, PNG, left_s=2.0):  # it is behind one turn of each: 40 images
            pass
        with pytest.raises(Refusal), encoder.admit(8, PNG, left_s=1.0):
            pass
        with (
            encoder.admit(320, GRID, more=True),
            pytest.raises(Refusal),
            encoder.admit(8, PNG, left_s=2.0),
        ):
            pass  # now it is behind a grid, which is written at once
    with (
        pytest.raises(Refusal),
        encoder.admit(320, PNG, left_s=15.0),
    ):  # alone, it has one of the two threads: 20 s
        pass
    with (
        pytest.raises(Refusal),
        encoder.admit(8, PNG, left_s=15.0, whole=320),
    ):  # the first images of a stream
        pass


async def test_engines_have_to_leave_the_time_that_writing_takes(codec, repository, answering):
    seconds = itertools.count()
    encoder = Encoder(
        codec, 1000, clock=lambda: float(next(seconds))
    )  # each turn of 16 takes a second: 32 a second
    with encoder.admit(32, PNG) as place:
        await encoder.encode(place, pb.GenerateResponse, 0, [make_images(32)], PNG)
    release, metrics = find_release(repository, "tiny"), Metrics()
    file = release.manifest.file("onnx")
    engines = open_engines(
        release.path(file), release.manifest, EngineConfig(device="cpu", instances=1)
    )
    batcher = Batcher[Job](max_batch=16, quantum=16, queue_limit=1000)
    slow = Ticket(n=16, arrived=0.0)
    batcher.admit(slow)
    batcher.enqueue(slow)
    batcher.finish(batcher.take(0.0)[0], 1.0)  # so the engine counts as one that makes 16 a second
    dispatcher = Dispatcher(engines, batcher, metrics.of_model("tiny"))
    model = ServedModel(release.manifest, file, "CPU", Agreement.EXACT, dispatcher, codec, encoder)
    service = GeneratorService(metrics)
    service.open(Catalogue([model]))
    async with answering(service) as stub:
        with pytest.raises(
            grpc.aio.AioRpcError, match="ready in 8 s but the deadline is in [78]"
        ):  # 4 to make, 4 to write
            await stub.Generate(pb.GenerateRequest(n=64, format=PNG), timeout=8)
        assert (
            len((await stub.Generate(pb.GenerateRequest(n=64, format=PNG), timeout=20)).png) == 64
        )
    await dispatcher.stop()


async def test_a_small_request_does_not_wait_for_a_large_one(codec):
    encoder = Encoder(codec, 10_000)
    large = asyncio.create_task(encode(encoder, 4000))
    while not 0 < encoder.waiting_images() < 4000:
        await asyncio.sleep(0)
    await encode(encoder, 1)
    assert encoder.waiting_images() > 1000
    large.cancel()
    await asyncio.wait([large])
    assert encoder.waiting_images() == 0


async def test_a_stream_is_taken_on_by_the_same_rules(only, answering):
    metrics, config = Metrics(), ModelConfig(queue_images=100)
    model = await load_model(
        find_release(only("tiny"), "tiny"), EngineConfig(device="cpu"), config, metrics
    )
    service = GeneratorService(metrics)
    service.open(Catalogue([model]))
    request = pb.GenerateStreamRequest(n=200, format=PNG)
    async with answering(service) as stub:
        full = pytest.raises(grpc.aio.AioRpcError, match="queue of 100 images is full")
        with model.encoder.admit(60, PNG), full:
            await stub.GenerateStream(request).read()
        assert model.dispatcher.counts().offered == 0  # nothing was made in vain
        with model.encoder.admit(
            60, PNG, more=True
        ):  # what was taken on before takes nobody's place
            assert sum([len(chunk.png) async for chunk in stub.GenerateStream(request)]) == 200
        assert model.encoder.waiting_images() == 0
        stream = stub.GenerateStream(pb.GenerateStreamRequest(n=2**32 - 1, format=PNG))
        await stream.read()
        stream.cancel()
        while model.encoder.waiting_images() or model.dispatcher.queued_images():
            await asyncio.sleep(0)
    await model.dispatcher.stop()
