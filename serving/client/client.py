"""The client: `Client(target).generate(seed, n)` gives images as a NumPy array, or a ClientError of `failures.py`.

`aio.AsyncClient` is the same for programs with an event loop.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self, Unpack

import grpc
from PIL import Image

from dcgan.core.images import Pixels
from dcgan.serving.client import calls
from dcgan.serving.client.calls import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Options, Response
from dcgan.serving.client.errors import (
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
    message,
    translated,
)
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

__all__ = [
    "BusyError",
    "Client",
    "ClientError",
    "DeadlineError",
    "FaultError",
    "RefusedError",
    "UnreachableError",
]


class StreamCall(Protocol):
    """A streaming call under way, as grpcio gives it."""

    def __iter__(self) -> Iterator[Response]:
        """Waits for each response."""

    def cancel(self) -> object:
        """Ends the call."""


class Client:
    """A connection to one server, or to several that take turns. Safe to share between threads.

    Calls that find no server, or a busy one, are tried again a few times, as long as most calls succeed; images are
    pure functions of the request, so trying again is always safe. A stream that breaks goes on where it broke.

    Args:
        target: address of the server, `host:port`, or of several with commas between them.
        timeout_s: time that each call may take with all its tries, unless the call says otherwise.
        hedge_after_s: time after which a call that is not answered is sent a second time, to whichever server has its
            turn, and the first answer is taken. At most one call in ten is. None for never.
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
        self._channel = grpc.insecure_channel(
            calls.resolve(target), options=calls.channel_options(target)
        )
        self._closed = False
        self._service = GeneratorServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._closed = True
        self._channel.close()

    def generate(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> Pixels:
        """Makes images `offset` to `offset + n - 1` of a seed. Equal arguments give equal images.

        Returns:
            uint8 [n, H, W, C].

        Raises:
            ClientError: if the server cannot be reached, or refuses.
        """
        limit = self._limit(timeout_s)
        request = message(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        if n <= calls.MOST_UNARY:
            try:
                with self._translated():
                    return calls.read_all(self._ask(request, limit.left_s()), n)
            except RefusedError as error:
                if not calls.is_too_large(error, n):
                    raise
        return calls.collect(
            self.stream(seed, n, offset=offset, timeout_s=limit.left_s(), **options), n
        )

    def pictures(
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
            self.generate(seed, n, offset=offset, timeout_s=timeout_s, **options)
        )

    def stream(
        self,
        seed: int,
        n: int,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Pixels]:
        """As `generate`, for any n, in chunks as they come: each uint8 [k, H, W, C].

        The server makes only a little more than what is read. Closing the iterator ends the request.
        """
        limit, stream = self._limit(timeout_s), calls.Stream(seed, n, offset, options)
        while True:
            call = self._stub.GenerateStream(stream.request(), timeout=limit.left_s())
            try:
                yield from map(stream.read, self._read(call))
                return
            except ClientError as error:
                stream.broke(error)

    def interpolate(
        self,
        seed_a: int,
        seed_b: int,
        steps: int,
        *,
        timeout_s: float | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Pixels]:
        """Walks from image 0 of one seed to image 0 of another, in chunks as they come: each uint8 [k, H, W, C]."""
        request = message(
            pb.InterpolateRequest, seed_a=seed_a, seed_b=seed_b, steps=steps, **options
        )
        call = self._stub.Interpolate(request, timeout=self._limit(timeout_s).left_s())
        return map(calls.read_pixels, self._read(call))

    def models(self) -> list[pb.Model]:
        """Every model of the server, its default first."""
        with self._translated():
            return list(
                self._stub.ListModels(
                    pb.ListModelsRequest(), timeout=self._limit(None).left_s()
                ).models
            )

    def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """One model; the server's default, and its newest version, unless they are named."""
        request = message(pb.GetModelRequest, name=name, version=version)
        with self._translated():
            response: pb.GetModelResponse = self._stub.GetModel(
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
        """Turns what a call raises into a ClientError, also where `close` ended it."""
        try:
            with translated(self.target):
                yield
        except ClientError:
            if self._closed:
                raise calls.closed(self.target) from None
            raise

    def _limit(self, timeout_s: float | None) -> calls.Limit:
        return calls.Limit(self._timeout_s if timeout_s is None else timeout_s)

    def _read(self, call: StreamCall) -> Iterator[Response]:
        try:
            with self._translated():
                yield from call
        finally:
            call.cancel()

    def _ask(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """The answer to a request, or to its twin if that one is first."""
        if self._hedge_after_s is None:
            only: pb.GenerateResponse = self._stub.Generate(request, timeout=timeout_s)
            return only
        self._budget.earn()
        ended: queue.SimpleQueue[grpc.Future[pb.GenerateResponse]] = queue.SimpleQueue()
        sent = [self._send(request, timeout_s, ended)]
        try:
            try:
                first = ended.get(timeout=self._hedge_after_s)
            except queue.Empty:
                if self._budget.spend():
                    sent.append(self._send(request, timeout_s - self._hedge_after_s, ended))
                first = ended.get()
            if len(sent) > 1 and calls.may_pass(first.exception()):
                first = ended.get()
            answer: pb.GenerateResponse = first.result()
            return answer
        finally:
            for call in sent:
                call.cancel()

    def _send(
        self,
        request: pb.GenerateRequest,
        timeout_s: float,
        ended: queue.SimpleQueue[grpc.Future[pb.GenerateResponse]],
    ) -> grpc.Future[pb.GenerateResponse]:
        call: grpc.Future[pb.GenerateResponse] = self._stub.Generate.future(
            request, timeout=timeout_s
        )
        call.add_done_callback(ended.put)
        return call
