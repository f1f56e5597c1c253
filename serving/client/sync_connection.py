"""A connection of the client for threads: a channel, and the calls on it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self, cast

import grpc

from dcgan.serving.client.channel import (
    channel_credentials,
    channel_options,
    channel_targets,
)
from dcgan.serving.client.connection import ConnectionBase
from dcgan.serving.client.failover import FailoverStub
from dcgan.serving.client.hedging import HedgeBudget
from dcgan.serving.client.replies import Response
from dcgan.serving.client.retry import is_retryable
from dcgan.serving.client.settings import ClientSettings
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


class StreamCall(Protocol):
    """A streaming call under way, as grpcio returns it."""

    def __iter__(self) -> Iterator[Response]: ...

    def cancel(self) -> object:
        """Ends the call, unless it has ended."""


class Channels(Protocol):
    """One channel, or those of several servers."""

    def close(self) -> object:
        """Ends the calls that are under way."""


class Connection(ConnectionBase[Channels]):
    """A connection whose calls block."""

    def generate(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request once, and returns the response.

        Raises:
            grpc.RpcError: if the call fails.
        """
        response: pb.GenerateResponse = self.call("Generate", request, timeout_s)
        return response

    def generate_hedged(
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
        done: queue.SimpleQueue[_UnaryCall] = queue.SimpleQueue()
        calls = [self._start(request, timeout_s, done)]

        try:
            try:
                first = done.get(timeout=delay_s)
            except queue.Empty:
                if budget.spend():
                    calls.append(self._start(request, timeout_s - delay_s, done))
                first = done.get()

            # The other server may still answer.
            if len(calls) > 1 and is_retryable(first.exception()):
                first = done.get()
            return first.result()
        finally:
            for call in calls:
                call.cancel()

    def _start(
        self, request: pb.GenerateRequest, timeout_s: float, done: queue.SimpleQueue[_UnaryCall]
    ) -> _UnaryCall:
        """Starts a call, which is put into `done` when it has ended."""
        call: _UnaryCall = self.stub.Generate.future(
            request, timeout=timeout_s, metadata=self.metadata
        )
        call.add_done_callback(done.put)
        return call


def open_connection(target: str, settings: ClientSettings) -> Connection:
    """Opens a channel to a resolved target, or several; it connects at the first call."""
    channels = [_open_channel(each, settings) for each in channel_targets(target, settings)]
    stubs = [GeneratorServiceStub(channel) for channel in channels]
    if len(stubs) == 1:
        return Connection(target, channels[0], stubs[0], settings.metadata)

    stub = cast(GeneratorServiceStub, FailoverStub(stubs))
    return Connection(target, _Channels(channels), stub, settings.metadata)


def _open_channel(target: str, settings: ClientSettings) -> grpc.Channel:
    options = channel_options(settings.target)
    credentials = channel_credentials(settings)
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)


class _Channels:
    """The channels of several servers."""

    def __init__(self, channels: Sequence[grpc.Channel]) -> None:
        self._channels = channels

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


class _UnaryCall(Protocol):
    """A unary call under way, as grpcio returns it."""

    def result(self) -> pb.GenerateResponse: ...

    def exception(self) -> BaseException | None: ...

    def add_done_callback(self, callback: Callable[[Self], None]) -> None: ...

    def cancel(self) -> object: ...
