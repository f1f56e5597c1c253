"""The client for event loops: `Client` with `await` and `async for`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Self, Unpack

from PIL import Image

from dcgan.core.images import Pixels
from dcgan.serving.client.aio_connection import AsyncConnection, AsyncStreamCall, open_connection
from dcgan.serving.client.base import ClientBase, needs_stream
from dcgan.serving.client.errors import ClientError, RefusedError, UnreachableError
from dcgan.serving.client.replies import (
    ImageCollector,
    Response,
    check_parsed,
    to_pillow_images,
)
from dcgan.serving.client.reply_reader import ReplyReader, check_model
from dcgan.serving.client.requests import MAX_UNARY_IMAGES, ImageOptions, build_request
from dcgan.serving.client.settings import ClientSettings
from dcgan.serving.client.status import translating
from dcgan.serving.client.stream import ResumableStream
from dcgan.v1 import generator_pb2 as pb


class AsyncClient(ClientBase):
    """A client of one server, or of several, for event loops; it takes the arguments of `Client`.

    It may be created anywhere and used in several event loops; each loop has one connection.
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
                    response = await self._send(request, deadline.remaining_s())
                return ReplyReader(request).read_all(response)
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
    ) -> AsyncGenerator[Pixels, None]:
        """Generates any number of images, in chunks; see `Client.stream`."""
        deadline = self._deadline(timeout_s)
        stream = ResumableStream(seed, n, offset, options)

        while not stream.is_complete:
            try:
                request = stream.request()
                async with aclosing(
                    self._read("GenerateStream", request, deadline.remaining_s())
                ) as responses:
                    async for response in responses:
                        yield stream.read(response)
                stream.finish()
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
    ) -> AsyncGenerator[Pixels, None]:
        """Interpolates from an image of one seed to one of another; see `Client.interpolate`."""
        ends = {"seed_a": seed_a, "seed_b": seed_b, "offset_a": offset_a, "offset_b": offset_b}
        request = build_request(pb.InterpolateRequest, **ends, steps=steps, **options)
        left_s = self._deadline(timeout_s).remaining_s()
        reader = ReplyReader(request)
        async with aclosing(self._read("Interpolate", request, left_s)) as responses:
            async for response in responses:
                yield reader.read(response)
        reader.finish()

    async def models(self) -> list[pb.Model]:
        """Returns all models of the server, the default first; see `Client.models`."""
        with self._translating():
            connection = await self._connect()
            left_s = self._deadline(None).remaining_s()
            response: pb.ListModelsResponse | None = await connection.call(
                "ListModels", pb.ListModelsRequest(), left_s
            )

        models = list(check_parsed(response).models)
        for model in models:
            check_model(model.name, model.version, "", None)
        return models

    async def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """Returns one model; see `Client.model`."""
        request = build_request(pb.GetModelRequest, name=name, version=version)
        with self._translating():
            connection = await self._connect()
            left_s = self._deadline(None).remaining_s()
            response: pb.GetModelResponse | None = await connection.call(
                "GetModel", request, left_s
            )

        model = check_parsed(response).model
        check_model(model.name, model.version, name, version)
        return model

    def _set_up(self, settings: ClientSettings) -> None:
        super()._set_up(settings)
        self._connections: dict[asyncio.AbstractEventLoop, AsyncConnection] = {}

    async def _connect(self) -> AsyncConnection:
        """Returns the connection for a new call in the running event loop.

        The caller must keep it until the call has ended: after the addresses of the servers have
        changed, a connection is closed as soon as nothing refers to it.
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
            connection = open_connection(target, self._settings)
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
    ) -> AsyncGenerator[Response, None]:
        """Sends a streaming request, and yields its responses."""
        connection = await self._connect()
        call: AsyncStreamCall = connection.call(method, request, timeout_s)

        try:
            with self._translating():
                async for response in call:
                    check_parsed(response)
                    yield response
        finally:
            call.cancel()
            del connection  # which was kept until here

    async def _send(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request, a second time if that is due, and returns the first answer."""
        connection = await self._connect()
        delay_s = self._settings.hedge_after_s
        if delay_s is None:
            return await connection.generate(request, timeout_s)

        return await connection.generate_hedged(request, timeout_s, delay_s, self._hedge_budget)
