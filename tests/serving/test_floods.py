"""One client that asks for more than the queues hold: others are served meanwhile."""

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from prometheus_client import CollectorRegistry

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.listener import bind, create_grpc_server
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.config import ConnectionConfig
from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.encoding.response_cache import ResponseCache
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.http import rendering
from dcgan.serving.http.app import HttpApp
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.service import HttpService
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob
from dcgan.serving.scheduling.work_item import WorkState
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release

HOG = "127.0.0.1"
OTHER = "127.0.0.2"


class GatedEngine:
    """Runs a batch for each time that its gate is released."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.gate = threading.Semaphore(0)

    def run(self, z, label, options):
        assert self.gate.acquire(timeout=60)
        return self._engine.run(z, label, options)

    def padding(self, images: int) -> int:
        return self._engine.padding(images)


@dataclass
class Host:
    """A server in this process whose queues hold 64 images, and whose batches the test releases."""

    grpc_port: int
    http_port: int
    model: ServedModel
    engine: GatedEngine
    in_flight: InFlight

    def release(self, batches: int) -> None:
        self.engine.gate.release(batches)

    def finished(self) -> int:
        return self.model.dispatcher.counts().settled[WorkState.OK]

    def waiting(self) -> int:
        return self.model.dispatcher.counts().waiting

    async def get(self, path: str, source: str) -> int:
        """Asks for a file of the model; returns the status."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.http_port, local_addr=(source, 0)
        )
        head = f"GET /v1/models/tiny/2/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1])

    def flood(self, path: str, source: str, count: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.get(path.format(i), source=source)) for i in range(count)]


@pytest.fixture
def hosting(only):
    """Starts a server with a PNG queue of a size: an asynchronous context manager."""

    @asynccontextmanager
    async def host(png_images: int = 64, cache_bytes: int = 0, **limits: int):
        metrics = Metrics()
        release = find_release(only("tiny"), "tiny")
        file = release.manifest.file("onnx")
        config = EngineConfig(device="cpu", instances=1)
        (opened,) = open_engines(release.path(file), release.manifest, config)
        engine = GatedEngine(opened)
        batcher = Batcher[ImageJob](max_batch=16, quantum=16, queue_limit=64)
        dispatcher = Dispatcher([engine], batcher, metrics.of_model("tiny"))
        replies = ReplyEncoder(release.manifest, pb.Provenance(model="tiny"))
        queue = PngQueue(png_images)
        model = ServedModel(
            release.manifest, file, "CPU", Agreement.EXACT, dispatcher, queue, replies
        )

        generation = Generation(InFlight(CallLimits(**limits)), ResponseCache(cache_bytes))
        generation.open(ModelRegistry([model]))
        readiness = Readiness(SERVICE)
        service = GeneratorService(generation, metrics)
        server = create_grpc_server(ConnectionConfig(), service, readiness, reuse_port=False)
        port = bind(server, "127.0.0.1", 0)
        await server.start()
        http_config = HttpConfig(port=0, access_log=False)
        http_metrics = HttpMetrics(CollectorRegistry())
        app = HttpApp(
            HttpService(generation, readiness, {}).respond,
            http_config,
            http_metrics,
            generation.in_flight,
            count_refusal=lambda _: None,
        )
        listener = HttpListener(app, http_config, http_metrics, "127.0.0.1", reuse_port=False)
        await listener.start()
        try:
            yield Host(port, listener.port, model, engine, generation.in_flight)
        finally:
            engine.gate.release(10_000)
            await listener.stop(5)
            await server.stop(None)
            await dispatcher.stop()

    return host


async def until(holds) -> None:
    """Waits until something holds, a minute at most."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


async def refused(flood: list[asyncio.Task[int]], admitted: int) -> None:
    """Waits until all requests of a flood are refused except for those that are admitted."""
    await until(lambda: sum(task.done() for task in flood) == len(flood) - admitted)
    assert {task.result() for task in flood if task.done()} == {429}


@pytest.mark.hostile(
    "24 connections that ask for more images than the queue holds",
    "`QUEUE_FULL` for them; others are served in the next batches",
)
async def test_one_client_cannot_fill_the_image_queue(hosting):
    async with hosting(png_images=10_000) as host:
        flood = host.flood("images/{}.json?n=64", HOG, 24)
        await refused(flood, admitted=1)

        other = asyncio.create_task(host.get("images/7.json", OTHER))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{host.grpc_port}") as channel:
            call = GeneratorServiceStub(channel).Generate(pb.GenerateRequest(seed=7))
            same_address = asyncio.ensure_future(call)
            await until(lambda: host.waiting() == 3)
            host.release(3)  # of the five batches that the flood needs
            assert await asyncio.wait_for(other, 60) == 200
            assert (await asyncio.wait_for(same_address, 60)).n == 1
        assert host.finished() == 2

        host.release(10)
        assert sorted(await asyncio.gather(*flood))[:2] == [200, 429]


@pytest.mark.hostile(
    "One connection whose small requests fill the queue",
    "clients take turns: another one is in the next batch",
)
async def test_small_requests_of_others_do_not_wait_for_those_of_one_client(hosting):
    async with hosting() as host, grpc.aio.insecure_channel(f"{HOG}:{host.grpc_port}") as channel:
        stub = GeneratorServiceStub(channel)
        first = asyncio.ensure_future(stub.Generate(pb.GenerateRequest(n=16)))
        await until(lambda: host.waiting() == 1 and not host.model.dispatcher.queued_images())
        calls = [stub.Generate(pb.GenerateRequest(seed=i, n=8)) for i in range(12)]
        flood = asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: sum(call.done() for call in calls) == 4)  # above 64 images
        other = asyncio.create_task(host.get("images/7.json", OTHER))
        await until(lambda: host.waiting() == 10)

        host.release(3)  # the first one, a turn of the flood, and one that the other one begins
        assert await asyncio.wait_for(other, 60) == 200
        assert host.finished() <= 5

        host.release(10)
        assert (await first).n == 16
        served = [reply.n for reply in await flood if not isinstance(reply, Exception)]
        assert served == [8] * 8


@pytest.mark.hostile(
    "Animations of 240 frames from several addresses",
    "`QUEUE_FULL` above the share; PNG for others is encoded meanwhile",
)
async def test_one_client_cannot_fill_the_png_queue(hosting, monkeypatch):
    opened = threading.Event()
    began = threading.Semaphore(0)

    def write_late(*_, **__) -> bytes:
        began.release()
        assert opened.wait(60)
        return b"GIF"

    monkeypatch.setattr(rendering, "write_animation", write_late)
    async with hosting(png_images=200) as host:
        host.release(10_000)
        flood = host.flood("walks/{}-1.gif?steps=48", HOG, 8)  # each counts as 200 images
        await refused(flood, admitted=1)
        flood += host.flood("walks/{}-1.gif?steps=8", OTHER, 1)  # it counts as 64
        for _ in range(2):  # both threads are occupied
            assert await asyncio.to_thread(began.acquire, timeout=60)

        for source in (HOG, OTHER):
            assert await asyncio.wait_for(host.get("images/7.png", source), 60) == 200
        assert sum(task.done() for task in flood) == 7

        opened.set()
        assert sorted(await asyncio.gather(*flood)) == [200, 200] + [429] * 7


@pytest.mark.hostile(
    "Large grids while replies are unread",
    "`REPLIES_UNREAD` before an image is made for them",
)
async def test_all_images_of_a_grid_count_before_they_are_made(hosting):
    async with hosting(png_images=10_000, max_unread_bytes=64 * 192) as host:
        host.release(10_000)
        unread = host.in_flight.begin_call(f"ip:{HOG}:1")
        unread.count_unread(1)
        assert await host.get("grids/7.png?n=64", OTHER) == 429
        assert await host.get("images/7.json?n=64", OTHER) == 429
        assert await host.get("images/7.png?size=64", OTHER) == 429  # 64 times the pixels
        assert host.model.dispatcher.counts().offered == 0
        assert await host.get("grids/7.png?n=16", OTHER) == 200

        unread.end()
        assert await host.get("grids/7.png?n=64", OTHER) == 200


@pytest.mark.hostile("Files of the cache that are left unread", "`REPLIES_UNREAD`, as for new ones")
async def test_files_of_the_cache_count_as_unread_too(hosting):
    async with hosting(png_images=10_000, cache_bytes=2**20, max_unread_bytes=10**5) as host:
        host.release(10_000)
        assert await host.get("images/7.json?n=64", HOG) == 200
        made = host.model.dispatcher.counts().offered
        unread = host.in_flight.begin_call(f"ip:{HOG}:1")
        unread.count_unread(99_000)
        assert await host.get("images/7.json?n=64", HOG) == 429

        unread.end()
        assert await host.get("images/7.json?n=64", HOG) == 200
        assert host.model.dispatcher.counts().offered == made
