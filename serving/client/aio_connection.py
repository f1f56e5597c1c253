"""A connection of the client for event loops: a channel, and the calls on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, cast

import grpc

from dcgan.serving.client.channel import (
    channel_credentials,
    channel_options,
    channel_targets,
)
from dcgan.serving.client.connection import ConnectionBase
from dcgan.serving.client.failover import AsyncFailoverStub
from dcgan.serving.client.hedging import HedgeBudget
from dcgan.serving.client.replies import Response, check_parsed
from dcgan.serving.client.retry import is_retryable
from dcgan.serving.client.settings import ClientSettings
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


class AsyncStreamCall(Protocol):
    """A streaming call under way, as grpc.aio returns it."""

    def __aiter__(self) -> AsyncIterator[Response]: ...

    def cancel(self) -> bool:
        """Ends the call, unless it has ended."""


class AsyncChannels(Protocol):
    """One channel, or those of several servers."""

    async def close(self, grace: float | None) -> object:
        """Ends the calls that are under way."""


class AsyncConnection(ConnectionBase[AsyncChannels]):
    """A connection whose calls are awaited."""

    async def generate(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request once, and returns the response.

        Raises:
            grpc.RpcError: if the call fails.
            FaultError: if the response cannot be parsed.
        """
        response: pb.GenerateResponse | None = await self.call("Generate", request, timeout_s)
        return check_parsed(response)

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
    """Opens a channel to a resolved target, or several in the running event loop."""
    channels = [_open_channel(each, settings) for each in channel_targets(target, settings)]
    stubs = [GeneratorServiceStub(channel) for channel in channels]
    if len(stubs) == 1:
        return AsyncConnection(target, channels[0], stubs[0], settings.metadata)

    stub = cast(GeneratorServiceStub, AsyncFailoverStub(stubs))
    return AsyncConnection(target, _Channels(channels), stub, settings.metadata)


def _open_channel(target: str, settings: ClientSettings) -> grpc.aio.Channel:
    options = channel_options(settings.target)
    credentials = channel_credentials(settings)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


class _Channels:
    """The channels of several servers."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = channels

    async def close(self, grace: float | None) -> None:
        await asyncio.gather(*(channel.close(grace) for channel in self._channels))
