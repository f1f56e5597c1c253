"""The client: `Client(target).generate(seed, n)` gives images as a NumPy array, or a ClientError of `failures.py`."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypedDict, Unpack

import grpc
import numpy as np

from dcgan.serving.failures import (
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
from dcgan.zoo.picture import Pixels

__all__ = [
    "BusyError",
    "Client",
    "ClientError",
    "DeadlineError",
    "FaultError",
    "RefusedError",
    "UnreachableError",
]

DEFAULT_TARGET = "127.0.0.1:8001"
DEFAULT_TIMEOUT_S = 60.0
MOST_TRIES = 5
MOST_UNARY = 64
"""More images than these are asked for as a stream."""

_LONGEST_TIMEOUT_S = 1e6
_NEAR = ("localhost:", "127.", "[::1]:")

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": pb.DESCRIPTOR.services_by_name["GeneratorService"].full_name}],
            "retryPolicy": {
                "maxAttempts": MOST_TRIES,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # grpc.aio says CANCELLED to a request that meets the very moment of its end (grpc/grpc#37239).
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
            },
        }
    ],
    "retryThrottling": {
        "maxTokens": 20,
        "tokenRatio": 0.2,
    },  # a failure costs 1, a success earns 0.2; below 10 no retry
}


class Options(TypedDict, total=False):
    """What may be said of the images besides seed, n and offset.

    Attributes:
        model: name of a model; the server's default if it is left out.
        version: of the model; the newest if it is left out.
        label: class of all images, for a conditional model; image i has class i mod classes if it is left out.
        truncation: psi in (0, 1]; 1 if it is left out.
    """

    model: str
    version: int
    label: int
    truncation: float


Response: TypeAlias = pb.GenerateResponse | pb.GenerateStreamResponse | pb.InterpolateResponse


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
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(resolve(target), options=channel_options(target))
        self._stub = GeneratorServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def generate(
        self, seed: int, n: int = 1, *, offset: int = 0, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Pixels:
        """Makes images `offset` to `offset + n - 1` of a seed. Equal arguments give equal images.

        Returns:
            uint8 [n, H, W, C].

        Raises:
            ClientError: if the server cannot be reached, or refuses.
        """
        ends = time.monotonic() + self._limit(timeout_s)
        request = message(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        if n <= MOST_UNARY:
            try:
                with translated(self.target):
                    return read_pixels(self._stub.Generate(request, timeout=self._left(ends)))
            except RefusedError as error:
                if error.field != "n" or n < 2:  # large images: fewer of them fit in a message
                    raise
        return collect(self.stream(seed, n, offset=offset, timeout_s=ends - time.monotonic(), **options), n)

    def stream(
        self, seed: int, n: int, *, offset: int = 0, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Iterator[Pixels]:
        """As `generate`, for any n, in chunks as they come: each uint8 [k, H, W, C].

        The server makes only a little more than what is read. Closing the iterator ends the request.
        """
        ends, done, tries = time.monotonic() + self._limit(timeout_s), 0, 0
        while True:
            request = message(pb.GenerateStreamRequest, seed=seed, n=n - done, offset=offset + done, **options)
            try:
                for chunk in self._read(self._stub.GenerateStream(request, timeout=self._left(ends))):
                    done, tries = done + len(chunk), 0
                    yield chunk
                return
            except (UnreachableError, BusyError):
                tries += 1
                if done == 0 or tries == MOST_TRIES:  # before the first chunk the channel itself has tried again
                    raise

    def interpolate(
        self, seed_a: int, seed_b: int, steps: int, *, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Iterator[Pixels]:
        """Walks from image 0 of one seed to image 0 of another, in chunks as they come: each uint8 [k, H, W, C]."""
        request = message(pb.InterpolateRequest, seed_a=seed_a, seed_b=seed_b, steps=steps, **options)
        return self._read(self._stub.Interpolate(request, timeout=self._limit(timeout_s)))

    def models(self) -> list[pb.Model]:
        """Every model of the server, its default first."""
        with translated(self.target):
            return list(self._stub.ListModels(pb.ListModelsRequest(), timeout=self._limit(None)).models)

    def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """One model; the server's default, and its newest version, unless they are named."""
        request = message(pb.GetModelRequest, name=name, version=version)
        with translated(self.target):
            response: pb.GetModelResponse = self._stub.GetModel(request, timeout=self._limit(None))
        return response.model

    def _limit(self, timeout_s: float | None) -> float:
        return min(self._timeout_s if timeout_s is None else timeout_s, _LONGEST_TIMEOUT_S)

    def _left(self, ends: float) -> float:
        """Seconds until then. gRPC may answer a call that has none left, if the server is quick."""
        left = ends - time.monotonic()
        if not left > 0:  # NaN neither
            raise DeadlineError(f"there is no time left to ask {self.target}", grpc.StatusCode.DEADLINE_EXCEEDED)
        return left

    def _read(self, call: StreamCall) -> Iterator[Pixels]:
        try:
            with translated(self.target):
                for response in call:
                    yield read_pixels(response)
        finally:
            call.cancel()


def channel_options(target: str) -> list[tuple[str, str | int]]:
    """How clients connect: servers in turn, and retries with a budget (gRFC A6); a server's pushback is obeyed."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ]
    near = all(address.strip().startswith(_NEAR) for address in target.split(","))
    return [*options, ("grpc.enable_http_proxy", 0)] if near else options  # a proxy cannot lead to this machine


def resolve(target: str) -> str:
    """A target as gRPC takes it: one address as it is, several as their numbers.

    Raises:
        UnreachableError: if it is empty, or one of several has no number.
    """
    addresses = [address.strip() for address in target.split(",")]
    if len(addresses) == 1 and addresses[0]:
        return addresses[0]
    numbers = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            numbers.append(f"{socket.gethostbyname(host)}:{int(port)}")
        except (OSError, ValueError):
            problem = f"{address!r:.80} is no address of a server; name it as host:port"
            raise UnreachableError(problem, grpc.StatusCode.UNAVAILABLE) from None
    return "ipv4:" + ",".join(numbers)


def read_pixels(response: Response) -> Pixels:
    """The images of a response, uint8 [n, H, W, C], read-only and without a copy."""
    shape = (response.n, response.height, response.width, response.channels)
    return np.frombuffer(response.pixels, dtype=np.uint8).reshape(shape)


def collect(chunks: Iterator[Pixels], n: int) -> Pixels:
    """Puts the chunks of n images together.

    Raises:
        ClientError: if they are not n, or do not fit in memory.
    """
    first = next(chunks)
    try:
        images = np.empty((n, *first.shape[1:]), dtype=np.uint8)
    except MemoryError:
        problem = f"{n} images do not fit in memory; ask for fewer, with --offset for the others, or use a stream"
        raise RefusedError(problem, grpc.StatusCode.INVALID_ARGUMENT) from None
    done = 0
    for chunk in itertools.chain([first], chunks):
        images[done : done + len(chunk)] = chunk
        done += len(chunk)
    if done != n:
        raise FaultError(f"the server sent {done} images, not {n}", grpc.StatusCode.INTERNAL)
    return images
