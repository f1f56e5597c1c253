"""What the two clients share: how they connect, what they ask, and what they do when an answer does not come.

`client.py` waits with threads, `aio.py` with an event loop; everything that does not wait is here.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterator
from threading import Lock
from typing import TypeAlias, TypedDict

import grpc
import numpy as np
from PIL import Image

from dcgan.core.images import Pixels, to_pillow
from dcgan.serving.client.errors import (
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
    message,
)
from dcgan.v1 import generator_pb2 as pb

DEFAULT_TARGET = "127.0.0.1:8001"
DEFAULT_TIMEOUT_S = 60.0
MOST_TRIES = 5
MOST_UNARY = 64
"""More images than these are asked for as a stream."""

_LONGEST_TIMEOUT_S = 1e6
_NEAR = ("localhost:", "127.", "[::1]:")
# grpc.aio says CANCELLED to a request that meets the very moment of its end (grpc/grpc#37239).
_MAY_PASS = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED")
_HEDGES_PER_CALL = 0.1  # what each call adds to the budget of second requests
_MOST_HEDGES = 10.0  # that may be saved up

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
                "retryableStatusCodes": _MAY_PASS,
            },
        }
    ],
    # A failure costs 1, a success earns 0.2, below 100 nothing is tried again: a server may die with a hundred calls
    # of a client under way; and when all are busy, a client adds at most a fifth to what they have to do.
    "retryThrottling": {"maxTokens": 200, "tokenRatio": 0.2},
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


class Limit:
    """The time that a call has with all its tries, in seconds."""

    def __init__(self, timeout_s: float) -> None:
        self._ends = time.monotonic() + min(timeout_s, _LONGEST_TIMEOUT_S)

    def left_s(self) -> float:
        """What is left of it. gRPC may answer a call that has nothing left, if the server is quick.

        Raises:
            DeadlineError: if nothing is.
        """
        left = self._ends - time.monotonic()
        if not left > 0:  # NaN neither
            raise DeadlineError(
                "the time is up; allow more time, or ask for less",
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
        return left


class Stream:
    """A request for any number of images that goes on where it broke, with the model that it began with.

    Args:
        seed: of the images.
        n: how many.
        offset: index of the first.
        options: what else is said of them.
    """

    def __init__(self, seed: int, n: int, offset: int, options: Options) -> None:
        self._seed, self._n, self._offset, self._options = seed, n, offset, options
        self._done = self._tries = 0
        self._provenance: pb.Provenance | None = None  # of the first chunk

    def request(self) -> pb.GenerateStreamRequest:
        """Asks for what is missing."""
        n, offset, options = self._n - self._done, self._offset + self._done, self._options.copy()
        if (
            self._provenance is not None
        ):  # the server may have another default, or a newer version, by now
            options["model"], options["version"] = self._provenance.model, self._provenance.version
        return message(pb.GenerateStreamRequest, seed=self._seed, n=n, offset=offset, **options)

    def read(self, response: Response) -> Pixels:
        """The images of a chunk, which are no longer missing.

        Raises:
            FaultError: if another model made them than those before.
        """
        provenance = self._provenance = self._provenance or response.provenance
        if response.provenance.digest != provenance.digest:
            before, now = (
                f"{each.model} {each.version} ({each.digest:.12})"
                for each in (provenance, response.provenance)
            )
            raise FaultError(
                f"the server began with model {before} and goes on with {now}",
                grpc.StatusCode.INTERNAL,
            )
        chunk = read_pixels(response)
        self._done, self._tries = self._done + len(chunk), 0
        return chunk

    def broke(self, error: ClientError) -> None:
        """Says whether to ask again.

        Raises:
            ClientError: the one given, if it is of no use.
        """
        self._tries += 1
        again = isinstance(error, UnreachableError | BusyError)
        # Before the first chunk the channel itself has tried again.
        if not again or self._done == 0 or self._tries == MOST_TRIES:
            raise error


class HedgeBudget:
    """How many second requests may be sent: one for ten calls, so that a slow server gets little more to do."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left = _MOST_HEDGES

    def earn(self) -> None:
        """A call begins."""
        with self._lock:
            self._left = min(self._left + _HEDGES_PER_CALL, _MOST_HEDGES)

    def spend(self) -> bool:
        """Whether a second request may be sent; if so, it counts as sent."""
        with self._lock:
            allowed = self._left >= 1
            self._left -= allowed
            return allowed


def check_hedge(after_s: float | None) -> float | None:
    """The time after which a second request is sent, as both clients can wait for it.

    Raises:
        RefusedError: if it is no time.
    """
    if after_s is None:
        return None
    if not after_s >= 0:  # NaN neither
        problem = f"hedge_after_s must be 0 or more, or None, not {after_s}"
        raise RefusedError(problem, grpc.StatusCode.INVALID_ARGUMENT)
    return min(after_s, _LONGEST_TIMEOUT_S)


def closed(target: str) -> UnreachableError:
    """What a client says that is asked after it was closed."""
    problem = f"this client of {target} was closed; make another"
    return UnreachableError(problem, grpc.StatusCode.UNAVAILABLE)


def may_pass(error: BaseException | None) -> bool:
    """Whether another server, or the same one later, may answer what ended with this error."""
    return isinstance(error, grpc.RpcError) and error.code().name in _MAY_PASS


class Collector:
    """Puts the chunks of n images together."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._done = 0
        self._images: Pixels | None = None

    def add(self, chunk: Pixels) -> None:
        """Takes the next chunk.

        Raises:
            ClientError: if there are more than n images, or n do not fit in memory.
        """
        if self._images is None:
            self._images = self._allocate(chunk)
        done = self._done + len(chunk)
        if done <= self._n:
            self._images[self._done : done] = chunk
        self._done = done

    def images(self) -> Pixels:
        """All of them, uint8 [n, H, W, C].

        Raises:
            ClientError: if they are not n.
        """
        if self._images is None or self._done != self._n:
            raise _wrong_number(self._done, self._n)
        return self._images

    def _allocate(self, chunk: Pixels) -> Pixels:
        try:
            return np.empty((self._n, *chunk.shape[1:]), dtype=np.uint8)
        except MemoryError:
            cure = "ask for fewer, with --offset for the others, or use a stream"
            problem = f"{self._n} images do not fit in memory; {cure}"
            raise RefusedError(problem, grpc.StatusCode.INVALID_ARGUMENT) from None


def collect(chunks: Iterator[Pixels], n: int) -> Pixels:
    """Puts the chunks of n images together; see Collector."""
    collector = Collector(n)
    for chunk in chunks:
        collector.add(chunk)
    return collector.images()


def read_all(response: Response, n: int) -> Pixels:
    """The n images of a response; see `read_pixels`.

    Raises:
        FaultError: if they are not n.
    """
    images = read_pixels(response)
    if len(images) != n:
        raise _wrong_number(len(images), n)
    return images


def read_pixels(response: Response) -> Pixels:
    """The images of a response, uint8 [n, H, W, C], read-only and without a copy.

    Raises:
        FaultError: if it does not have so many bytes as it says.
    """
    shape = (response.n, response.height, response.width, response.channels)
    if math.prod(shape) != len(response.pixels):
        problem = f"the server sent {len(response.pixels)} bytes as images of the shape {shape}"
        raise FaultError(problem, grpc.StatusCode.INTERNAL)
    return np.frombuffer(response.pixels, dtype=np.uint8).reshape(shape)


def _wrong_number(found: int, wanted: int) -> FaultError:
    return FaultError(f"the server sent {found} images, not {wanted}", grpc.StatusCode.INTERNAL)


def to_pictures(images: Pixels) -> list[Image.Image]:
    """Images [n, H, W, C] as Pillow has them."""
    return [to_pillow(image) for image in images]


def is_too_large(error: RefusedError, n: int) -> bool:
    """Whether so many images do not fit in one message, so that a stream is the way."""
    return error.field == "n" and n > 1


def channel_options(target: str) -> list[tuple[str, str | int]]:
    """How clients connect: servers in turn, and retries with a budget (gRFC A6); a server's pushback is obeyed."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ]
    near = all(address.strip().startswith(_NEAR) for address in target.split(","))
    return (
        [*options, ("grpc.enable_http_proxy", 0)] if near else options
    )  # a proxy cannot lead to this machine


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
