"""What a client says when it gets no images.

ClientError
├── UnreachableError   nobody answers at the target
├── BusyError          the queue is full, or the server is loading or shutting down
├── RefusedError       a field is outside its range, or there is no such model
├── DeadlineError      the time is up, or would be
└── FaultError         anything else
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from dcgan.core.errors import DcganError

DETAILS_KEY = "grpc-status-details-bin"


class ClientError(DcganError):
    """A request that got no images.

    Attributes:
        code: of gRPC.
        reason: of the server's ErrorInfo, e.g. QUEUE_FULL; empty where the server said nothing.
        field: of the request, that the server named as wrong.
    """

    def __init__(
        self, message: str, code: grpc.StatusCode, reason: str = "", field: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field


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


def translate(error: grpc.RpcError, target: str) -> ClientError:
    """What a failed call means to its caller."""
    code, text, info, request = error.code(), error.details() or "", ErrorInfo(), BadRequest()
    _unpack(error, info, request)
    if code == grpc.StatusCode.UNAVAILABLE and not info.reason:
        cure = "start one with dcgan-serve, or name the right target"
        return UnreachableError(f"no server answers at {target}; {cure}", code)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and not info.reason:
        return DeadlineError(
            f"{target} did not answer in time; allow more time, or ask for less", code
        )
    kind = _KINDS.get(code, FaultError)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        kind = RefusedError  # gRPC's own limit on the size of a message
    field = request.field_violations[0].field if request.field_violations else ""
    return kind(f"{target} answers: {text}", code, info.reason, field)


_KINDS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.UNAVAILABLE: BusyError,
    grpc.StatusCode.CANCELLED: BusyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: BusyError,
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.NOT_FOUND: RefusedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


def _unpack(error: grpc.RpcError, *details: Message) -> None:
    """Fills in those details that came with the error."""
    trailers = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    for packed in (
        packed
        for key, value in trailers
        if key == DETAILS_KEY
        for packed in Status.FromString(value).details
    ):
        for detail in details:
            packed.Unpack(detail)


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
        raise RefusedError(f"{given}: {error}", grpc.StatusCode.INVALID_ARGUMENT) from None
