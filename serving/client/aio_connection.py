"""A connection of the client for event loops: a channel, and the calls on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import grpc

from dcgan.serving.client.channel import channel_credentials, channel_options
from dcgan.serving.client.connection import ConnectionBase
from dcgan.serving.client.hedging import HedgeBudget
from dcgan.serving.client.replies import Response
from dcgan.serving.client.retry import is_retryable
from dcgan.serving.client.settings import ClientSettings
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


class AsyncStreamCall(Protocol):
    """A streaming call under way, as grpc.aio returns it."""

    def __aiter__(self) -> AsyncIterator[Response]: ...

    def cancel(self) -> bool:
        """Ends the call, unless it has ended."""


class AsyncConnection(ConnectionBase[grpc.aio.Channel]):
    """A connection whose calls are awaited."""

    async def generate(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request once, and returns the response.

        Raises:
            grpc.RpcError: if the call fails.
        """
        response: pb.GenerateResponse = await self.call("Generate", request, timeout_s)
        return response

    async def generate_hedged(
        self, request: pb.GenerateRequest, timeout_s: float, delay_s: float, budget: HedgeBudget
    ) -> pb.GenerateResponse:
        """Sends a request, a second time if the response is late, and returns the first response.

        Args:
            request: what to generate.
            timeout_s: time for both calls together.
            delay_s: time after which the request is sent again.
            budget: limits the second calls.

        Raises:
            grpc.RpcError: if the call fails, or both do.
        """
        budget.earn()
        calls = [asyncio.ensure_future(self.generate(request, timeout_s))]

        try:
            await asyncio.wait(calls, timeout=delay_s)
            if not calls[0].done() and budget.spend():
                second = self.generate(request, timeout_s - delay_s)
                calls.append(asyncio.ensure_future(second))

            # If both have ended, take the one with images.
            done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            first = min(done, key=lambda call: call.exception() is not None)
            if pending and is_retryable(first.exception()):
                first = pending.pop()
            return await first
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


def open_connection(target: str, settings: ClientSettings) -> AsyncConnection:
    """Opens a channel to a resolved target in the running event loop."""
    options = channel_options(settings.target, tls=settings.tls)
    credentials = channel_credentials(settings)
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=options)

    stub = GeneratorServiceStub(channel)  # type: ignore[no-untyped-call]
    return AsyncConnection(target, channel, stub, settings.metadata)
