"""The gRPC service `dcgan.v1.GeneratorService`."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from dcgan.core.text import printable
from dcgan.serving.api.errors import DrainingError, InvalidMessageError, engine_fault
from dcgan.serving.api.generated_images import GeneratedImages
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.messages import model_message
from dcgan.serving.api.requests import (
    ImageRequest,
    read_interpolation,
    read_stream_request,
    read_unary_request,
)
from dcgan.serving.api.status import PUSHBACK_KEY, GrpcStatus, status_of
from dcgan.serving.encoding.replies import ReplyType
from dcgan.serving.errors import RequestError
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import MethodMetrics, Metrics
from dcgan.v1 import generator_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["GeneratorService"].full_name
REQUEST_ID_KEY = "x-request-id"

_ATTEMPTS_KEY = "grpc-previous-rpc-attempts"
_AFTER_DRAIN_MS = 200
_MAX_REQUEST_ID_LENGTH = 64
_TRANSIT_S = 0.1  # the client's deadline passes up to this much earlier than the server's

logger = logging.getLogger(__name__)

Request = TypeVar("Request", bound=Message)
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = Callable[[bytes, Context], Coroutine[Any, Any, bytes | None]]
ModelMessage: TypeAlias = pb.GenerateRequest | pb.GenerateStreamRequest | pb.InterpolateRequest


class GeneratorService:
    """Answers RPCs: parses requests, serializes replies, and reports errors as statuses.

    Args:
        generation: makes the images.
        metrics: of the server.
    """

    def __init__(self, generation: Generation, metrics: Metrics) -> None:
        self._generation = generation
        self._metrics = metrics
        metrics.unread.set_function(lambda: generation.in_flight.unread_bytes)

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Returns the handlers to register with a server; they parse and serialize messages."""
        methods = {
            "Generate": self._unary("Generate", pb.GenerateRequest, self._generate),
            "GenerateStream": self._server_stream(
                "GenerateStream", pb.GenerateStreamRequest, self._generate_stream
            ),
            "Interpolate": self._server_stream(
                "Interpolate", pb.InterpolateRequest, self._interpolate
            ),
            "ListModels": self._unary("ListModels", pb.ListModelsRequest, self._list_models),
            "GetModel": self._unary("GetModel", pb.GetModelRequest, self._get_model),
        }

        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _generate(self, message: pb.GenerateRequest, context: Context) -> bytes:
        request = read_unary_request(message, self._find_model(message))
        generated = await self._generation.generate(request, _deadline(context))
        _set_times(context, generated.images.queue_s, generated.images.compute_s)
        reply = self._serialize(request, pb.GenerateResponse, generated)
        self._track_unread(reply, context)
        return reply

    async def _generate_stream(self, message: pb.GenerateStreamRequest, context: Context) -> None:
        request = read_stream_request(message, self._find_model(message))
        await self._stream(request, pb.GenerateStreamResponse, context)

    async def _interpolate(self, message: pb.InterpolateRequest, context: Context) -> None:
        request = read_interpolation(message, self._find_model(message))
        await self._stream(request, pb.InterpolateResponse, context)

    async def _list_models(
        self,
        message: pb.ListModelsRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> bytes:
        registry = self._generation.registry
        models = [model_message(model, registry) for model in registry.models]
        return pb.ListModelsResponse(models=models).SerializeToString()

    async def _get_model(
        self,
        message: pb.GetModelRequest,
        context: Context,  # noqa: ARG002
    ) -> bytes:
        registry = self._generation.registry
        version = message.version if message.HasField("version") else None
        model = registry.find(message.name, version)
        return pb.GetModelResponse(model=model_message(model, registry)).SerializeToString()

    def _find_model(self, message: ModelMessage) -> ServedModel:
        version = message.version if message.HasField("version") else None
        return self._generation.registry.find(message.model, version)

    async def _stream(self, request: ImageRequest, reply_type: ReplyType, context: Context) -> None:
        """Writes the chunks of a stream as they are made."""
        queue_s = compute_s = 0.0
        async with aclosing(self._generation.stream(request, _deadline(context))) as chunks:
            async for generated in chunks:
                await context.write(self._serialize(request, reply_type, generated))
                queue_s += generated.images.queue_s
                compute_s += generated.images.compute_s
        _set_times(context, queue_s, compute_s)

    def _serialize(
        self, request: ImageRequest, reply_type: ReplyType, generated: GeneratedImages
    ) -> bytes:
        began = time.perf_counter()
        replies = request.model.replies
        offset = request.offset + generated.start

        if generated.files is None:
            parts = generated.images.parts
            reply = replies.encode_pixels(reply_type, offset, parts, request.echo)
        else:
            files = generated.files
            reply = replies.encode_files(reply_type, offset, generated.count, files, request.echo)

        self._metrics.postprocess.observe(generated.png_s + time.perf_counter() - began)
        return reply

    def _track_unread(self, reply: bytes, context: Context) -> None:
        """Counts a reply as unread until the RPC is over."""
        in_flight = self._generation.in_flight
        in_flight.unread_bytes += len(reply)

        def release() -> None:
            in_flight.unread_bytes -= len(reply)

        _on_rpc_done(context, release)

    def _unary(
        self,
        method: str,
        request_type: type[Request],
        handler: Callable[[Request, Context], Awaitable[bytes]],
    ) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
        metrics = self._metrics.of_method(SERVICE, method, "unary")
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(method, metrics, request_type, handler)
        )

    def _server_stream(
        self,
        method: str,
        request_type: type[Request],
        handler: Callable[[Request, Context], Awaitable[None]],
    ) -> Any:  # noqa: ANN401 - gRPC's handlers have no public type
        metrics = self._metrics.of_method(SERVICE, method, "server_stream")
        return grpc.unary_stream_rpc_method_handler(
            self._wrap(method, metrics, request_type, handler)
        )

    def _wrap(
        self,
        method: str,
        metrics: MethodMetrics,
        request_type: type[Request],
        handler: Callable[[Request, Context], Awaitable[bytes | None]],
    ) -> Handler:
        """Wraps a handler: parses the request, counts the RPC, and turns errors into statuses."""
        in_flight = self._generation.in_flight

        async def handle(data: bytes, context: Context) -> bytes | None:
            began = time.perf_counter()
            metrics.started.inc()
            in_flight.begin_call()
            _on_rpc_done(context, in_flight.end_call)
            reply: bytes | None = None
            failure: GrpcStatus | None = None
            code = grpc.StatusCode.CANCELLED
            try:
                reply = await handler(_parse(request_type, data), context)
                code = grpc.StatusCode.OK
            except (asyncio.CancelledError, grpc.aio.InternalError) as error:
                # The client has left, or writing to it failed.
                if _is_deadline_over(context):
                    code = grpc.StatusCode.DEADLINE_EXCEEDED
                raise asyncio.CancelledError from error
            except DrainingError as error:
                failure = await self._refuse_in_drain(error, context)
                code = failure.code
            except Exception as error:  # noqa: BLE001 - it is logged, and no client sees a trace
                failure = self._failure(error, context)
                code = failure.code
            finally:  # count it before the client has the answer, and may read the metrics
                seconds = time.perf_counter() - began
                metrics.ended(code, seconds)
                if logger.isEnabledFor(logging.DEBUG):
                    _log_call(method, code, seconds, context)

            if failure is not None:
                await context.abort(failure.code, failure.message, failure.trailers)
            return reply

        return handle

    async def _refuse_in_drain(self, error: DrainingError, context: Context) -> GrpcStatus:
        """Refuses an RPC: at once if it is the first attempt, at the end of the drain otherwise.

        A drain can take longer than all attempts of a client that balances its load over this
        server and slow ones. The trailer lets its next attempt come when the port is closed.
        """
        failure = self._failure(error, context)
        if not _is_retry(context):
            return failure

        left_s = context.time_remaining()
        await self._generation.in_flight.hold(None if left_s is None else left_s / 2)
        pushback = (PUSHBACK_KEY, str(_AFTER_DRAIN_MS))
        return replace(failure, trailers=(*failure.trailers, pushback))

    def _failure(self, error: Exception, context: Context) -> GrpcStatus:
        if not isinstance(error, RequestError):
            error = engine_fault(error, _request_id(context))
        self._metrics.rejected.labels(error.reason).inc()
        return status_of(error)


def _parse(request_type: type[Request], data: bytes) -> Request:
    try:
        return request_type.FromString(data)
    except DecodeError:
        raise InvalidMessageError(request_type.DESCRIPTOR.full_name) from None


def _deadline(context: Context) -> float:
    """Returns the deadline of an RPC on the monotonic clock; infinity if there is none."""
    left_s = context.time_remaining()
    return math.inf if left_s is None else time.monotonic() + left_s


def _is_deadline_over(context: Context) -> bool:
    left_s = context.time_remaining()
    return left_s is not None and left_s < _TRANSIT_S


def _is_retry(context: Context) -> bool:
    """Returns whether the client has made this RPC before (gRFC A6)."""
    return any(key == _ATTEMPTS_KEY for key, _ in context.invocation_metadata() or ())


def _on_rpc_done(context: Context, callback: Callable[[], None]) -> None:
    """Calls back once the client has read the last byte of an RPC, or has left."""
    # The stubs reject functions.
    context.add_done_callback(lambda _: callback())  # type: ignore[arg-type]


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY:
            return printable(value, _MAX_REQUEST_ID_LENGTH)
    return uuid.uuid4().hex


def _log_call(method: str, code: grpc.StatusCode, seconds: float, context: Context) -> None:
    logger.debug(
        "%s from %s ended with %s after %.1f ms, request %s",
        method,
        printable(context.peer()),
        code.name,
        1000 * seconds,
        _request_id(context),
    )


def _set_times(context: Context, queue_s: float, compute_s: float) -> None:
    context.set_trailing_metadata(
        (
            ("dcgan-queue-us", str(round(queue_s * 1e6))),
            ("dcgan-compute-us", str(round(compute_s * 1e6))),
        )
    )
