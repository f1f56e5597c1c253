"""The RPCs of `dcgan.v1.GeneratorService`: check the request, hand it to the dispatcher, write the reply."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from dcgan.serving.api import errors
from dcgan.serving.api.errors import Refusal
from dcgan.serving.api.requests import Work, read_seed_request, read_walk_request
from dcgan.serving.encoding.codec import Reply
from dcgan.serving.encoding.png_queue import PNG_FORMATS, Place
from dcgan.serving.engine.cpu import EngineError
from dcgan.serving.models.served_model import Catalogue
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.job import Images
from dcgan.v1 import generator_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["GeneratorService"].full_name
REQUEST_ID_KEY = "x-request-id"

_MOST_STREAMED = 2**32 - 1
_CHUNKS_AHEAD = (
    2  # of a stream: one at the engine, one behind it; a slow reader holds no more than this
)
_LONGEST_REQUEST_ID = 64
_ON_THE_WAY_S = 0.1  # a caller's deadline comes earlier than the server's by the time that the request was on the way

Request = TypeVar("Request", bound=Message)
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = Callable[[bytes, Context], Coroutine[Any, Any, bytes | None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Images of a stream that are being made.

    Attributes:
        start: the first of them.
        images: as they will come.
        place: in the queue for PNG.
        held: gives back the place, and calls off what is not made yet.
    """

    start: int
    images: asyncio.Future[Images]
    place: Place | None
    held: ExitStack


class GeneratorService:
    """Answers RPCs. Before `open` and after `close` it refuses all that make images.

    Args:
        metrics: hears of every RPC.
        most_streams: streams that may be under way at once.
        most_unread_bytes: of replies to `Generate` that may wait for their clients, above which no more are made. A
            stream waits itself until what it wrote has been taken.
    """

    def __init__(
        self, metrics: Metrics, most_streams: int = 256, most_unread_bytes: int = 2**28
    ) -> None:
        self._metrics = metrics
        self._most_streams = most_streams
        self._most_unread_bytes = most_unread_bytes
        self._unread_bytes = 0
        metrics.unread.set_function(lambda: self._unread_bytes)
        self._streams = 0
        self._catalogue: Catalogue | None = None
        self._absent = errors.loading
        self._active = 0  # RPCs under way
        self._none_active = asyncio.Event()

    def open(self, catalogue: Catalogue) -> None:
        """Starts to serve these models."""
        self._catalogue = catalogue

    def close(self, reason: Callable[[], Refusal] = errors.draining) -> None:
        """Refuses new requests from now on; those that were accepted go on."""
        self._catalogue, self._absent = None, reason

    async def finish(self) -> None:
        """Waits until no RPC is under way: until every reply has been taken by its client."""
        while self._active:
            self._none_active.clear()
            await self._none_active.wait()

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What to register with a server. Messages are read and written by the handlers themselves."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        table = {
            "Generate": unary(self._answer("Generate", pb.GenerateRequest, self._generate)),
            "GenerateStream": stream(
                self._answer("GenerateStream", pb.GenerateStreamRequest, self._generate_stream)
            ),
            "Interpolate": stream(
                self._answer("Interpolate", pb.InterpolateRequest, self._interpolate)
            ),
            "ListModels": unary(
                self._answer("ListModels", pb.ListModelsRequest, self._list_models)
            ),
            "GetModel": unary(self._answer("GetModel", pb.GetModelRequest, self._get_model)),
        }
        return grpc.method_handlers_generic_handler(SERVICE, table)

    async def _generate(self, request: pb.GenerateRequest, context: Context) -> bytes:
        model = self._models().find(request.model, _version(request))
        work = read_seed_request(request, model, model.codec.most_images(request.format))
        if self._unread_bytes > self._most_unread_bytes:
            raise errors.replies_unread(self._most_unread_bytes)
        with _place(work, work.n, context) as place:
            images = await self._submit(work, context, 0, work.n, place)
            _set_times(context, images.queue_s, images.compute_s)
            message = await self._encode(work, pb.GenerateResponse, 0, images, place)
        self._keep(message, context)
        return message

    async def _generate_stream(self, request: pb.GenerateStreamRequest, context: Context) -> None:
        model = self._models().find(request.model, _version(request))
        work = read_seed_request(request, model, _MOST_STREAMED)
        await self._stream(work, pb.GenerateStreamResponse, context)

    async def _interpolate(self, request: pb.InterpolateRequest, context: Context) -> None:
        model = self._models().find(request.model, _version(request))
        await self._stream(read_walk_request(request, model), pb.InterpolateResponse, context)

    async def _list_models(self, request: pb.ListModelsRequest, context: Context) -> bytes:  # noqa: ARG002
        return pb.ListModelsResponse(models=self._models().describe()).SerializeToString()

    async def _get_model(self, request: pb.GetModelRequest, context: Context) -> bytes:  # noqa: ARG002
        catalogue = self._models()
        model = catalogue.find(request.name, _version(request))
        return pb.GetModelResponse(
            model=model.describe(default=model is catalogue.default)
        ).SerializeToString()

    def _models(self) -> Catalogue:
        if self._catalogue is None:
            raise self._absent()
        return self._catalogue

    def _submit(
        self, work: Work, context: Context, start: int, count: int, place: Place | None = None
    ) -> asyncio.Future[Images]:
        draw, more = partial(work.draw, start, count), start > 0
        whole, left_s = 0 if more else work.n, context.time_remaining()
        reserve_s = (
            place.own_s if place else 0.0
        )  # images that are made too late to be written are of no use
        submit = work.model.dispatcher.submit
        return submit(count, draw, timeout_s=left_s, reserve_s=reserve_s, more=more, whole=whole)

    async def _stream(self, work: Work, reply: Reply, context: Context) -> None:
        """Writes chunks in order, and has the engine work on the next ones meanwhile."""
        if self._streams == self._most_streams:
            raise errors.too_many_streams(self._most_streams)
        size = min(work.model.codec.chunk, work.model.codec.most_images(work.image_format))
        queue_s = compute_s = 0.0
        starts = iter(range(0, work.n, size))
        ahead: deque[_Chunk] = deque()
        self._streams += 1
        try:
            while True:
                for start in _first(starts, _CHUNKS_AHEAD - len(ahead)):
                    ahead.append(self._begin_chunk(work, context, start, min(size, work.n - start)))
                if not ahead:
                    break
                chunk, images = ahead[0], await ahead[0].images
                ahead.popleft()
                queue_s, compute_s = queue_s + images.queue_s, compute_s + images.compute_s
                with chunk.held:
                    message = await self._encode(work, reply, chunk.start, images, chunk.place)
                await context.write(message)
        finally:
            self._streams -= 1
            for chunk in ahead:
                chunk.held.close()
        _set_times(context, queue_s, compute_s)

    def _begin_chunk(self, work: Work, context: Context, start: int, count: int) -> _Chunk:
        """Has the engine work on images of a stream, which have a place in the queue for PNG from now on."""
        with ExitStack() as held:
            place = held.enter_context(_place(work, count, context, start=start))
            images = self._submit(work, context, start, count, place)
            held.callback(images.cancel)
            return _Chunk(start, images, place, held.pop_all())

    async def _encode(
        self, work: Work, reply: Reply, start: int, images: Images, place: Place | None
    ) -> bytes:
        began = time.perf_counter()
        model, offset = work.model, work.offset + start
        if place is None:
            message = model.codec.encode_pixels(reply, offset, images.parts)
        else:
            message = await model.encoder.encode(
                place, reply, offset, images.parts, work.image_format
            )
        self._metrics.postprocess.observe(time.perf_counter() - began)
        return message

    def _begin(self, context: Context) -> None:
        """Counts an RPC as under way until it is over."""
        self._active += 1
        _when_over(context, self._end)

    def _end(self) -> None:
        self._active -= 1
        if not self._active:
            self._none_active.set()

    def _keep(self, message: bytes, context: Context) -> None:
        """Counts a reply as unread until its RPC is over."""
        self._unread_bytes += len(message)

        def let_go() -> None:
            self._unread_bytes -= len(message)

        _when_over(context, let_go)

    def _answer(
        self,
        method: str,
        kind: type[Request],
        handler: Callable[[Request, Context], Awaitable[bytes | None]],
    ) -> Handler:
        """Wraps a handler: reads its request, counts it, and turns what it raises into a status."""
        metrics = self._metrics.of_method(method)

        async def answer(data: bytes, context: Context) -> bytes | None:
            began = time.perf_counter()
            metrics.started.inc()
            message, refusal, code = None, None, grpc.StatusCode.CANCELLED
            self._begin(context)
            try:
                message = await handler(_parse(kind, data), context)
                code = grpc.StatusCode.OK
            except (
                asyncio.CancelledError,
                grpc.aio.InternalError,
            ) as error:  # nobody is there, or writing failed
                left_s = context.time_remaining()
                if left_s is not None and left_s < _ON_THE_WAY_S:
                    code = grpc.StatusCode.DEADLINE_EXCEEDED
                raise asyncio.CancelledError from error
            except Exception as error:  # noqa: BLE001 - it is logged, and no caller sees a trace
                refusal = _refusal(error, context)
                code = refusal.code
                self._metrics.rejected.labels(refusal.reason).inc()
            finally:  # before the caller has the answer, and may ask for the metrics
                metrics.ended(code, time.perf_counter() - began)
            if refusal is not None:
                await context.abort(refusal.code, refusal.message, refusal.trailers())
            return message

        return answer


def _when_over(context: Context, callback: Callable[[], None]) -> None:
    """Calls back once the client has taken the last byte of an RPC, or never will."""
    context.add_done_callback(lambda _: callback())  # type: ignore[arg-type]  # the stubs know no function to be one


def _place(
    work: Work, n: int, context: Context, start: int = 0
) -> AbstractContextManager[Place | None]:
    """A place in the queue for PNG, for n images from `start` on; pixels need none."""
    if work.image_format not in PNG_FORMATS:
        return nullcontext()
    return work.model.encoder.admit(
        n, work.image_format, context.time_remaining(), more=start > 0, whole=work.n
    )


def _parse(kind: type[Request], data: bytes) -> Request:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise errors.invalid_message(kind.DESCRIPTOR.full_name) from None


def _refusal(error: Exception, context: Context) -> Refusal:
    if isinstance(error, Refusal):
        return error
    request_id = _request_id(context)
    if not isinstance(error, EngineError):  # the dispatcher has logged those
        logger.exception("request %s failed", request_id)
    else:
        logger.error("request %s was in a batch that failed", request_id)
    return errors.engine_fault(request_id)


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY:
            return str(value)[:_LONGEST_REQUEST_ID]
    return uuid.uuid4().hex


def _version(request: Any) -> int | None:  # noqa: ANN401
    return request.version if request.HasField("version") else None


def _set_times(context: Context, queue_s: float, compute_s: float) -> None:
    times = (
        ("dcgan-queue-us", str(round(queue_s * 1e6))),
        ("dcgan-compute-us", str(round(compute_s * 1e6))),
    )
    context.set_trailing_metadata(times)


def _first(starts: Iterator[int], count: int) -> Iterator[int]:
    for _, start in zip(range(count), starts, strict=False):
        yield start
