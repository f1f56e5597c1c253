"""Replies are checked against the request, in both clients alike."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from dcgan.serving.client import AsyncClient, Client, FaultError
from dcgan.serving.client.reply_reader import ReplyReader
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import (
    GeneratorServiceServicer,
    add_GeneratorServiceServicer_to_server,
)

TINY = pb.Provenance(model="tiny", version=1, digest="a" * 64)
OTHER = pb.Provenance(model="other\x1b", version=1, digest="b" * 64)

GENERATE = pb.GenerateRequest(seed=7, n=2, offset=5, model="tiny", version=1)
WALK = pb.InterpolateRequest(seed_a=7, seed_b=8, offset_a=5, offset_b=6, steps=2, model="tiny")
REPLY = {"n": 2, "height": 1, "width": 1, "channels": 1, "pixels": b"12", "provenance": TINY}
GENERATED = REPLY | {"seed": 7, "offset": 5}
WALKED = REPLY | {"seed_a": 7, "seed_b": 8, "offset_a": 5, "offset_b": 6}


def test_the_reply_to_a_request_is_read():
    assert ReplyReader(GENERATE).read_all(pb.GenerateResponse(**GENERATED)).tobytes() == b"12"
    assert ReplyReader(WALK).read_all(pb.InterpolateResponse(**WALKED)).tobytes() == b"12"


def test_without_a_name_any_model_is_right():
    request = pb.GenerateRequest(seed=7, n=2, offset=5)
    ReplyReader(request).read_all(pb.GenerateResponse(**GENERATED | {"provenance": OTHER}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 99}, "images with seed 99, not 7"),
        ({"offset": 77}, "images with offset 77, not 5"),
        ({"provenance": OTHER}, r"the model other\\u001b version 1, not tiny version 1"),
        (
            {"provenance": pb.Provenance(model="tiny", version=2)},
            "tiny version 2, not tiny version",
        ),
        ({"provenance": None}, "names no model"),
        ({"n": 1, "pixels": b"1"}, "sent 1 images, not 2"),
        ({"n": 3, "pixels": b"123"}, "sent 3 images, not 2"),
        ({"n": 0, "pixels": b""}, "sent 0 images, not 2"),
    ],
)
def test_a_reply_to_another_request_is_a_fault(changes, message):
    with pytest.raises(FaultError, match=message):
        ReplyReader(GENERATE).read_all(pb.GenerateResponse(**GENERATED | changes))


@pytest.mark.parametrize("field", ["seed_a", "seed_b", "offset_a", "offset_b", "offset"])
def test_a_walk_between_other_images_is_a_fault(field):
    with pytest.raises(FaultError, match=f"images with {field} 99, not "):
        ReplyReader(WALK).read_all(pb.InterpolateResponse(**WALKED | {field: 99}))


def test_a_walk_goes_on_with_the_model_that_it_began_with():
    one = WALKED | {"n": 1, "pixels": b"1"}
    reader = ReplyReader(WALK)
    reader.read(pb.InterpolateResponse(**one))
    with pytest.raises(FaultError, match="began with model tiny 1"):
        reader.read(pb.InterpolateResponse(**one | {"offset": 1, "provenance": OTHER}))


class Scripted(GeneratorServiceServicer):
    """Sends chunks of given sizes; the last ones over and over if they are endless.

    Attributes:
        ended: set when a call has ended.
        requests: number of requests that have arrived.
    """

    def __init__(self, sizes, *, changes, endless, breaks) -> None:
        self.sizes = sizes
        self.changes = changes
        self.endless = endless
        self.breaks = breaks
        self.ended = threading.Event()
        self.requests = 0

    def Generate(self, request, context):  # noqa: N802
        return self.reply(pb.GenerateResponse, request.offset, self.sizes[0], seed=request.seed)

    def GenerateStream(self, request, context):  # noqa: N802
        return self.chunks(
            pb.GenerateStreamResponse, context, first=request.offset, seed=request.seed
        )

    def Interpolate(self, request, context):  # noqa: N802
        return self.chunks(
            pb.InterpolateResponse, context, seed_a=request.seed_a, seed_b=request.seed_b
        )

    def chunks(self, kind, context, first=0, **echo):
        self.requests += 1
        context.add_callback(self.ended.set)
        for size in self.sizes:
            yield self.reply(kind, first, size, **echo)
            first += size
        while self.endless and context.is_active():
            yield self.reply(kind, first, 1, **echo)
            first += 1
        if self.breaks:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    def reply(self, kind, first, n, **echo):
        changes = {
            name: value(first) if callable(value) else value for name, value in self.changes.items()
        }
        fields = REPLY | {"n": n, "offset": first} | echo | changes
        pixels = bytes(n * fields["height"] * fields["width"] * fields["channels"])
        return kind(**fields | {"pixels": pixels})


@pytest.fixture
def scripted():
    """Starts a server that sends chunks of given sizes; returns its address and its service.

    Changes are values of fields, or functions of the index of the first image.
    """
    servers = []

    def start(*sizes, endless=False, breaks=False, **changes):
        service = Scripted(sizes, changes=changes, endless=endless, breaks=breaks)
        server = grpc.server(ThreadPoolExecutor(2))
        add_GeneratorServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}", service

    yield start
    for server in servers:
        server.stop(None)


async def receive(kind, target, method, *arguments) -> int:
    """Calls a method of a client, and returns how many images came."""

    def block() -> int:
        with Client(target) as client:
            return sum(map(len, getattr(client, method)(*arguments)))

    if kind is Client:
        return await asyncio.to_thread(block)
    async with AsyncClient(target) as client:
        return sum([len(chunk) async for chunk in getattr(client, method)(*arguments)])


each_stream = pytest.mark.parametrize(
    ("kind", "method", "arguments"),
    [
        (kind, *call)
        for kind in (Client, AsyncClient)
        for call in (("stream", (7, 20)), ("interpolate", (7, 8, 20)))
    ],
)


@pytest.mark.hostile("A server that answers another request", "an error of both clients")
async def test_both_clients_refuse_a_reply_to_another_request(scripted):
    target, _ = scripted(1, seed=99)
    with Client(target) as client, pytest.raises(FaultError, match="seed 99, not 7"):
        await asyncio.to_thread(client.generate, 7)
    async with AsyncClient(target) as aio:
        with pytest.raises(FaultError, match="seed 99, not 7"):
            await aio.generate(7)


@each_stream
async def test_both_clients_refuse_a_chunk_that_is_not_the_next(scripted, kind, method, arguments):
    target, _ = scripted(16, 4, offset=0)
    with pytest.raises(FaultError, match="offset 0, not 16"):
        await receive(kind, target, method, *arguments)


@pytest.mark.hostile("A server that ends a stream too early", "an error of both clients")
@each_stream
async def test_a_stream_that_ends_early_is_a_fault(scripted, kind, method, arguments):
    target, _ = scripted(1)
    with pytest.raises(FaultError, match="sent 1 images, not 20"):
        await receive(kind, target, method, *arguments)


@pytest.mark.hostile(
    "A server that sends more images than were asked for", "an error of both clients; call ended"
)
@each_stream
async def test_a_stream_that_goes_on_is_a_fault_and_is_cancelled(scripted, kind, method, arguments):
    target, service = scripted(16, 4, endless=True)
    with pytest.raises(FaultError, match="sent 21 images, not 20"):
        await receive(kind, target, method, *arguments)
    assert await asyncio.to_thread(service.ended.wait, 60)


@pytest.mark.hostile("A server that sends chunks without images", "an error of both clients")
@each_stream
async def test_an_empty_chunk_is_a_fault(scripted, kind, method, arguments):
    target, _ = scripted(16, 0, 4)
    with pytest.raises(FaultError, match="without images"):
        await receive(kind, target, method, *arguments)


@pytest.mark.hostile("A server whose chunks have several shapes", "an error of both clients")
@each_stream
async def test_chunks_of_several_shapes_are_a_fault(scripted, kind, method, arguments):
    target, _ = scripted(16, 4, height=lambda first: 2 if first == 0 else 1)
    with pytest.raises(FaultError, match=r"\(1, 1, 1\) after some of the shape \(2, 1, 1\)"):
        await receive(kind, target, method, *arguments)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_stream_that_breaks_after_its_last_image_is_complete(scripted, kind):
    target, service = scripted(16, 4, breaks=True)
    assert await receive(kind, target, "stream", 7, 20) == 20
    assert service.requests == 1
