"""A connection of the client for threads: a channel, and the calls on it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Protocol, Self

import grpc

from dcgan.serving.client.channel import channel_credentials, channel_options
from dcgan.serving.client.connection import ConnectionBase
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


class Connection(ConnectionBase[grpc.Channel]):
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
    """Opens a channel to a resolved target; it connects at the first call."""
    options = channel_options(settings.target, tls=settings.tls)
    credentials = channel_credentials(settings)
    if credentials is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, credentials, options=options)

    stub = GeneratorServiceStub(channel)  # type: ignore[no-untyped-call]
    return Connection(target, channel, stub, settings.metadata)


class _UnaryCall(Protocol):
    """A unary call under way, as grpcio returns it."""

    def result(self) -> pb.GenerateResponse: ...

    def exception(self) -> BaseException | None: ...

    def add_done_callback(self, callback: Callable[[Self], None]) -> None: ...

    def cancel(self) -> object: ...
