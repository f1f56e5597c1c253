"""The client for event loops: `Client` with `await` and `async for`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, Unpack

import grpc
from PIL import Image

from dcgan.core.images import Pixels
from dcgan.serving.client.base import ClientBase, needs_stream
from dcgan.serving.client.channel import channel_credentials, channel_options
from dcgan.serving.client.errors import ClientError, RefusedError, UnreachableError
from dcgan.serving.client.replies import (
    ImageCollector,
    Response,
    read_exactly,
    read_pixels,
    to_pillow_images,
)
from dcgan.serving.client.requests import MAX_UNARY_IMAGES, ImageOptions, build_request
from dcgan.serving.client.retry import is_retryable
from dcgan.serving.client.settings import ClientSettings
from dcgan.serving.client.status import translating
from dcgan.serving.client.stream import ResumableStream
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


class AsyncClient(ClientBase):
    """A client of one server, or of several, for event loops; it takes the arguments of `Client`.

    It may be made anywhere, and used from several event loops: each gets its own connection.
    Cancelling the task that waits for images drops their work on the server.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection of this event loop, and ends the calls that are under way."""
        self._closed = True
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.channel.close(None)

    async def generate(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> Pixels:
        """Generates images, uint8 [n, H, W, C]; see `Client.generate`."""
        deadline = self._deadline(timeout_s)
        request = build_request(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        if n <= MAX_UNARY_IMAGES:
            try:
                with self._translating():
                    return read_exactly(await self._send(request, deadline.remaining_s()), n)
            except RefusedError as error:
                if not needs_stream(error, n):
                    raise

        left_s = deadline.remaining_s()
        collector = ImageCollector(n)
        async for chunk in self.stream(seed, n, offset=offset, timeout_s=left_s, **options):
            collector.add(chunk)
        return collector.images()

    async def pictures(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> list[Image.Image]:
        """Generates images as `generate` does, and returns them as Pillow images."""
        images = await self.generate(seed, n, offset=offset, timeout_s=timeout_s, **options)
        return to_pillow_images(images)

    async def stream(
        self,
        seed: int,
        n: int,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> AsyncIterator[Pixels]:
        """Generates any number of images, in chunks; see `Client.stream`."""
        deadline = self._deadline(timeout_s)
        stream = ResumableStream(seed, n, offset, options)

        while True:
            try:
                request = stream.request()
                async for response in self._read("GenerateStream", request, deadline.remaining_s()):
                    yield stream.read(response)
                return
            except ClientError as error:
                stream.retry_or_raise(error)

    async def interpolate(
        self,
        seed_a: int,
        seed_b: int,
        steps: int,
        *,
        offset_a: int = 0,
        offset_b: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> AsyncIterator[Pixels]:
        """Walks from an image of one seed to an image of another; see `Client.interpolate`."""
        request = build_request(
            pb.InterpolateRequest,
            seed_a=seed_a,
            seed_b=seed_b,
            steps=steps,
            offset_a=offset_a,
            offset_b=offset_b,
            **options,
        )

        left_s = self._deadline(timeout_s).remaining_s()
        async for response in self._read("Interpolate", request, left_s):
            yield read_pixels(response)

    async def models(self) -> list[pb.Model]:
        """Returns all models of the server, the default first; see `Client.models`."""
        with self._translating():
            connection = await self._connect()
            response: pb.ListModelsResponse = await connection.stub.ListModels(
                pb.ListModelsRequest(),
                timeout=self._deadline(None).remaining_s(),
                metadata=self._settings.metadata,
            )

        return list(response.models)

    async def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """Returns one model; see `Client.model`."""
        request = build_request(pb.GetModelRequest, name=name, version=version)
        with self._translating():
            connection = await self._connect()
            response: pb.GetModelResponse = await connection.stub.GetModel(
                request,
                timeout=self._deadline(None).remaining_s(),
                metadata=self._settings.metadata,
            )

        return response.model

    def _set_up(self, settings: ClientSettings) -> None:
        super()._set_up(settings)
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}

    async def _connect(self) -> _Connection:
        """Returns the connection for a new call in the running event loop.

        Its caller keeps it until the call has ended: once the addresses of the servers have
        changed, a connection is closed by its last reference.
        """
        target = self._resolver.current()
        if target is None:
            target = await asyncio.to_thread(self._resolver.resolve)
        if self._closed:
            raise self._closed_error()

        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None or connection.target != target:
            for other in [other for other in self._connections if other.is_closed()]:
                self._connections.pop(other, None)
            connection = _open(target, self._settings)
            self._connections[loop] = connection
        return connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turns what a call raises into a ClientError, also where `close` ended it."""
        try:
            with translating(self.target, tls=self._settings.tls):
                yield
        except UnreachableError:
            self._resolver.report_failure()
            raise
        except asyncio.CancelledError:
            # `close` cancels the call, not the task that waits for it.
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise self._closed_error() from None
            raise

    async def _read(
        self,
        method: str,
        request: pb.GenerateStreamRequest | pb.InterpolateRequest,
        timeout_s: float,
    ) -> AsyncIterator[Response]:
        """Sends a streaming request, and yields its responses."""
        connection = await self._connect()
        call: _StreamCall = getattr(connection.stub, method)(
            request, timeout=timeout_s, metadata=self._settings.metadata
        )

        try:
            with self._translating():
                async for response in call:
                    yield response
        finally:
            call.cancel()
            del connection  # which was kept until here

    async def _send(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request, a second time if that is due, and returns the first answer."""
        connection = await self._connect()
        delay_s = self._settings.hedge_after_s
        if delay_s is None:
            return await self._start(connection, request, timeout_s)

        self._hedge_budget.earn()
        calls = [asyncio.ensure_future(self._start(connection, request, timeout_s))]
        try:
            await asyncio.wait(calls, timeout=delay_s)
            if not calls[0].done() and self._hedge_budget.spend():
                second = self._start(connection, request, timeout_s - delay_s)
                calls.append(asyncio.ensure_future(second))
            done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            # If both have ended, take the one with images.
            first = min(done, key=lambda call: call.exception() is not None)
            if pending and is_retryable(first.exception()):
                first = pending.pop()
            return await first
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _start(
        self, connection: _Connection, request: pb.GenerateRequest, timeout_s: float
    ) -> pb.GenerateResponse:
        response: pb.GenerateResponse = await connection.stub.Generate(
            request, timeout=timeout_s, metadata=self._settings.metadata
        )
        return response


@dataclass(frozen=True)
class _Connection:
    """A channel.

    Attributes:
        target: resolved target that it leads to.
        channel: the channel.
        stub: methods of the service on that channel.
    """

    target: str
    channel: grpc.aio.Channel
    stub: GeneratorServiceStub


class _StreamCall(Protocol):
    """A streaming call under way, as grpc.aio returns it."""

    def __aiter__(self) -> AsyncIterator[Response]: ...

    def cancel(self) -> bool: ...


def _open(target: str, settings: ClientSettings) -> _Connection:
    options = channel_options(settings.target, tls=settings.tls)
    credentials = channel_credentials(settings)
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=options)
    return _Connection(target, channel, GeneratorServiceStub(channel))  # type: ignore[no-untyped-call]
