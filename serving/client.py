"""The client: `Client(target).generate(seed, n)` gives images as a NumPy array.

ClientError
├── UnreachableError   nobody answers at the target
├── BusyError          the queue is full, or the server is loading or shutting down
├── RefusedError       a field is outside its range, or there is no such model
├── DeadlineError      the time is up, or would be
└── FaultError         anything else
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast

import grpc
import numpy as np
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from dcgan.serving.errors import DETAILS_KEY
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from dcgan.zoo.errors import DcganError
from dcgan.zoo.picture import Pixels

DEFAULT_TARGET = "127.0.0.1:8001"
DEFAULT_TIMEOUT_S = 60.0
MOST_TRIES = 5

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
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
]
"""How clients connect: servers in turn, and retries with a budget (gRFC A6); a server's pushback is obeyed."""


class ClientError(DcganError):
    """A request that got no images.

    Attributes:
        code: of gRPC.
        reason: of the server's ErrorInfo, e.g. QUEUE_FULL; empty where the server said nothing.
    """

    def __init__(self, message: str, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class UnreachableError(ClientError):
    """Nobody answers at the target."""


class BusyError(ClientError):
    """The queue is full, or the server is loading or shutting down: come back later."""


class RefusedError(ClientError):
    """A field is outside its range, or there is no such model."""


class DeadlineError(ClientError):
    """The time is up, or would be."""


class FaultError(ClientError):
    """Anything else."""


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
        self._channel = grpc.insecure_channel(resolve(target), options=CHANNEL_OPTIONS)
        self._stub = GeneratorServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._caps: dict[tuple[str, int | None], int] = {}  # images in one message, by model

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
        if n > 1 and n > self._cap(options):
            return collect(self.stream(seed, n, offset=offset, timeout_s=timeout_s, **options), n)
        request = message(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        with translated(self.target):
            return read_pixels(self._stub.Generate(request, timeout=timeout_s or self._timeout_s))

    def stream(
        self, seed: int, n: int, *, offset: int = 0, timeout_s: float | None = None, **options: Unpack[Options]
    ) -> Iterator[Pixels]:
        """As `generate`, for any n, in chunks as they come: each uint8 [k, H, W, C].

        The server makes only a little more than what is read. Closing the iterator ends the request.
        """
        ends, done, tries = time.monotonic() + (timeout_s or self._timeout_s), 0, 0
        while True:
            request = message(pb.GenerateStreamRequest, seed=seed, n=n - done, offset=offset + done, **options)
            try:
                for chunk in self._read(self._stub.GenerateStream(request, timeout=ends - time.monotonic())):
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
        return self._read(self._stub.Interpolate(request, timeout=timeout_s or self._timeout_s))

    def models(self) -> list[pb.Model]:
        """Every model of the server, its default first."""
        with translated(self.target):
            return list(self._stub.ListModels(pb.ListModelsRequest(), timeout=self._timeout_s).models)

    def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """One model; the server's default, and its newest version, unless they are named."""
        request = message(pb.GetModelRequest, name=name, version=version)
        with translated(self.target):
            response: pb.GetModelResponse = self._stub.GetModel(request, timeout=self._timeout_s)
        return response.model

    def _cap(self, options: Options) -> int:
        key = options.get("model", ""), options.get("version")
        if key not in self._caps:
            self._caps[key] = self.model(*key).max_images_per_request
        return self._caps[key]

    def _read(self, call: StreamCall) -> Iterator[Pixels]:
        try:
            with translated(self.target):
                for response in call:
                    yield read_pixels(response)
        finally:
            call.cancel()


def resolve(target: str) -> str:
    """A target as gRPC takes it: one address as it is, several as their numbers.

    Raises:
        UnreachableError: if one of several has no number.
    """
    addresses = [address.strip() for address in target.split(",")]
    if len(addresses) == 1:
        return target
    numbers = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            numbers.append(f"{socket.gethostbyname(host)}:{int(port)}")
        except (OSError, ValueError):
            problem = f"{address!r:.80} is no address of a server; name it as host:port"
            raise UnreachableError(problem, grpc.StatusCode.UNAVAILABLE, "") from None
    return "ipv4:" + ",".join(numbers)


def read_pixels(response: Response) -> Pixels:
    """The images of a response, uint8 [n, H, W, C], read-only and without a copy."""
    shape = (response.n, response.height, response.width, response.channels)
    return np.frombuffer(response.pixels, dtype=np.uint8).reshape(shape)


def translate(error: grpc.RpcError, target: str) -> ClientError:
    """What a failed call means to its caller."""
    code, message, reason = error.code(), error.details() or "", _reason(error)
    if code == grpc.StatusCode.UNAVAILABLE and not reason:
        cure = "start one with dcgan-serve, or name the right target"
        return UnreachableError(f"no server answers at {target}; {cure}", code, reason)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
        return DeadlineError(f"{target} did not answer in time; allow more time, or ask for less", code, reason)
    return _KINDS.get(code, FaultError)(f"{target} answers: {message}", code, reason)


_KINDS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.UNAVAILABLE: BusyError,
    grpc.StatusCode.CANCELLED: BusyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: BusyError,
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.NOT_FOUND: RefusedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


def _reason(error: grpc.RpcError) -> str:
    trailers = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    statuses = (Status.FromString(value) for key, value in trailers if key == DETAILS_KEY)
    info = ErrorInfo()
    found = any(detail.Unpack(info) for status in statuses for detail in status.details)
    return str(info.reason) if found else ""


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Turns what a call raises into a ClientError."""
    try:
        yield
    except grpc.RpcError as error:
        raise translate(error, target) from error


M = TypeVar("M", bound=Message)


def message(kind: type[M], **fields: object) -> M:
    """Builds a request. What does not fit its field is refused here, as the server would refuse it."""
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r:.40}" for name, value in fields.items())
        raise RefusedError(f"{given}: {error}", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") from None


def collect(chunks: Iterator[Pixels], n: int) -> Pixels:
    """Puts the chunks of n images together."""
    first = next(chunks)
    images = np.empty((n, *first.shape[1:]), dtype=np.uint8)
    images[: len(first)] = first
    done = len(first)
    for chunk in chunks:
        images[done : done + len(chunk)] = chunk
        done += len(chunk)
    return images
