"""The gRPC service `dcgan.v1.GeneratorService`."""

from __future__ import annotations

import math
import time
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from dcgan.serving.api.generated_images import GeneratedImages
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.in_flight import Call
from dcgan.serving.api.messages import model_message
from dcgan.serving.api.requests import (
    ImageRequest,
    read_interpolation,
    read_stream_request,
    read_unary_request,
)
from dcgan.serving.api.rpc import COPIES, Context, RpcMethods
from dcgan.serving.encoding.replies import ReplyType
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.v1 import generator_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["GeneratorService"].full_name

_COPIES_IN_STREAM = COPIES + 1  # with the pixels of the next chunk

ModelMessage: TypeAlias = pb.GenerateRequest | pb.GenerateStreamRequest | pb.InterpolateRequest


class GeneratorService:
    """Answers RPCs: parses requests, serializes replies, and reports errors as statuses.

    Args:
        generation: makes the images.
        metrics: of the server.

    Attributes:
        rpc_methods: counts and limits the calls.
    """

    def __init__(self, generation: Generation, metrics: Metrics) -> None:
        self._generation = generation
        self._metrics = metrics
        self.rpc_methods = RpcMethods(SERVICE, generation.in_flight, metrics)

        in_flight = generation.in_flight
        metrics.unread.set_function(lambda: in_flight.unread_bytes.total)
        metrics.open_calls.set_function(lambda: in_flight.calls.total)
        metrics.open_streams.set_function(lambda: in_flight.streams.total)

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Returns the handler of each method; they parse and serialize messages."""
        return {
            "Generate": self.rpc_methods.unary("Generate", pb.GenerateRequest, self._generate),
            "GenerateStream": self.rpc_methods.server_stream(
                "GenerateStream", pb.GenerateStreamRequest, self._generate_stream
            ),
            "Interpolate": self.rpc_methods.server_stream(
                "Interpolate", pb.InterpolateRequest, self._interpolate
            ),
            "ListModels": self.rpc_methods.unary(
                "ListModels", pb.ListModelsRequest, self._list_models
            ),
            "GetModel": self.rpc_methods.unary("GetModel", pb.GetModelRequest, self._get_model),
        }

    async def _generate(self, message: pb.GenerateRequest, context: Context, call: Call) -> bytes:
        request = read_unary_request(message, self._find_model(message))
        call.check_unread(COPIES * request.model.replies.pixel_bytes(request.images))
        generated = await self._generation.generate(request, _deadline(context), call.peer)
        _set_times(context, generated.images.queue_s, generated.images.compute_s)
        return self._serialize(request, pb.GenerateResponse, generated)

    async def _generate_stream(
        self, message: pb.GenerateStreamRequest, context: Context, call: Call
    ) -> None:
        request = read_stream_request(message, self._find_model(message))
        await self._stream(request, pb.GenerateStreamResponse, context, call)

    async def _interpolate(
        self, message: pb.InterpolateRequest, context: Context, call: Call
    ) -> None:
        request = read_interpolation(message, self._find_model(message))
        await self._stream(request, pb.InterpolateResponse, context, call)

    async def _list_models(
        self,
        message: pb.ListModelsRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> bytes:
        registry = self._generation.registry
        models = [model_message(model, registry) for model in registry.models]
        return pb.ListModelsResponse(models=models).SerializeToString()

    async def _get_model(
        self,
        message: pb.GetModelRequest,
        context: Context,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> bytes:
        registry = self._generation.registry
        version = message.version if message.HasField("version") else None
        model = registry.find(message.name, version)
        return pb.GetModelResponse(model=model_message(model, registry)).SerializeToString()

    def _find_model(self, message: ModelMessage) -> ServedModel:
        version = message.version if message.HasField("version") else None
        return self._generation.registry.find(message.model, version)

    async def _stream(
        self, request: ImageRequest, reply_type: ReplyType, context: Context, call: Call
    ) -> None:
        """Writes the chunks of a stream as they are made."""
        replies = request.model.replies
        first_images = min(request.images, replies.chunk_images)
        call.check_unread(_COPIES_IN_STREAM * replies.pixel_bytes(first_images))
        call.begin_stream()

        has_begun = False
        queue_s = compute_s = 0.0
        stream = self._generation.stream(request, _deadline(context), call.peer)
        async with aclosing(stream) as chunks:
            async for generated in chunks:
                queue_s += generated.images.queue_s
                compute_s += generated.images.compute_s
                reply = self._serialize(request, reply_type, generated)
                del generated  # the client may take long to read

                call.hold(len(reply), _COPIES_IN_STREAM)
                if not has_begun:
                    # Before the first message is read, gRPC refuses a status if they go with it.
                    call.is_committed = True
                    await context.send_initial_metadata(())
                    call.is_committed = False
                    has_begun = True
                await context.write(reply)
                call.release()
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


def _deadline(context: Context) -> float:
    """Returns the deadline of an RPC on the monotonic clock; infinity if there is none."""
    left_s = context.time_remaining()
    return math.inf if left_s is None else time.monotonic() + left_s


def _set_times(context: Context, queue_s: float, compute_s: float) -> None:
    context.set_trailing_metadata(
        (
            ("dcgan-queue-us", str(round(queue_s * 1e6))),
            ("dcgan-compute-us", str(round(compute_s * 1e6))),
        )
    )
