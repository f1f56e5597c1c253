"""The client for programs with an event loop: as `client.Client`, with `await` and `async for`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self, Unpack

import grpc
from PIL import Image

from dcgan.core.images import Pixels
from dcgan.serving.client import calls
from dcgan.serving.client.calls import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Options, Response
from dcgan.serving.client.errors import ClientError, RefusedError, message, translated
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


class StreamCall(Protocol):
    """A streaming call under way, as grpc.aio gives it."""

    def __aiter__(self) -> AsyncIterator[Response]:
        """Waits for each response."""

    def cancel(self) -> bool:
        """Ends the call."""


class AsyncClient:
    """A connection to one server, or to several that take turns; see `client.Client`, whose arguments it takes.

    Make it while the event loop runs. Cancelling the task that waits for images drops their work on the server.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        hedge_after_s: float | None = None,
    ) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._hedge_after_s = calls.check_hedge(hedge_after_s)
        self._budget = calls.HedgeBudget()
        self._channel = grpc.aio.insecure_channel(
            calls.resolve(target), options=calls.channel_options(target)
        )
        self._closed = False
        self._service = GeneratorServiceStub(self._channel)  # type: ignore[no-untyped-call]

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
        """Ends the connection."""
        self._closed = True
        await self._channel.close(None)

    async def generate(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> Pixels:
        """Makes images `offset` to `offset + n - 1` of a seed, uint8 [n, H, W, C]; see `client.Client.generate`."""
        limit = self._limit(timeout_s)
        request = message(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        if n <= calls.MOST_UNARY:
            try:
                with self._translated():
                    return calls.read_all(await self._ask(request, limit.left_s()), n)
            except RefusedError as error:
                if not calls.is_too_large(error, n):
                    raise
        collector = calls.Collector(n)
        async for chunk in self.stream(seed, n, offset=offset, timeout_s=limit.left_s(), **options):
            collector.add(chunk)
        return collector.images()

    async def pictures(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> list[Image.Image]:
        """As `generate`, but images of Pillow."""
        return calls.to_pictures(
            await self.generate(seed, n, offset=offset, timeout_s=timeout_s, **options)
        )

    async def stream(
        self,
        seed: int,
        n: int,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> AsyncIterator[Pixels]:
        """As `generate`, for any n, in chunks as they come: each uint8 [k, H, W, C]."""
        limit, stream = self._limit(timeout_s), calls.Stream(seed, n, offset, options)
        while True:
            call = self._stub.GenerateStream(stream.request(), timeout=limit.left_s())
            try:
                async for response in self._read(call):
                    yield stream.read(response)
            except ClientError as error:
                stream.broke(error)
            else:
                return

    async def interpolate(
        self,
        seed_a: int,
        seed_b: int,
        steps: int,
        *,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> AsyncIterator[Pixels]:
        """Walks from image 0 of one seed to image 0 of another, in chunks as they come: each uint8 [k, H, W, C]."""
        request = message(
            pb.InterpolateRequest, seed_a=seed_a, seed_b=seed_b, steps=steps, **options
        )
        call = self._stub.Interpolate(request, timeout=self._limit(timeout_s).left_s())
        async for response in self._read(call):
            yield calls.read_pixels(response)

    async def models(self) -> list[pb.Model]:
        """Every model of the server, its default first."""
        with self._translated():
            reply = await self._stub.ListModels(
                pb.ListModelsRequest(), timeout=self._limit(None).left_s()
            )
        return list(reply.models)

    async def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """One model; the server's default, and its newest version, unless they are named."""
        request = message(pb.GetModelRequest, name=name, version=version)
        with self._translated():
            response: pb.GetModelResponse = await self._stub.GetModel(
                request, timeout=self._limit(None).left_s()
            )
        return response.model

    @property
    def _stub(self) -> GeneratorServiceStub:
        if self._closed:
            raise calls.closed(self.target)
        return self._service

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what a call raises into a ClientError, also where `close` ended it: its caller was not cancelled."""
        try:
            with translated(self.target):
                yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise calls.closed(self.target) from None
            raise

    def _limit(self, timeout_s: float | None) -> calls.Limit:
        return calls.Limit(self._timeout_s if timeout_s is None else timeout_s)

    async def _read(self, call: StreamCall) -> AsyncIterator[Response]:
        try:
            with self._translated():
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def _ask(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """The answer to a request, or to its twin if that one is first."""
        if self._hedge_after_s is None:
            return await self._send(request, timeout_s)
        self._budget.earn()
        sent = [asyncio.ensure_future(self._send(request, timeout_s))]
        try:
            await asyncio.wait(sent, timeout=self._hedge_after_s)
            if not sent[0].done() and self._budget.spend():
                sent.append(
                    asyncio.ensure_future(self._send(request, timeout_s - self._hedge_after_s))
                )
            ended, others = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
            first = min(
                ended, key=lambda call: call.exception() is not None
            )  # if both have, the one with images
            if others and calls.may_pass(first.exception()):
                first = others.pop()
            return await first
        finally:
            for call in sent:
                call.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    async def _send(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        response: pb.GenerateResponse = await self._stub.Generate(request, timeout=timeout_s)
        return response
