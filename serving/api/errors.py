"""Everything that a request can be refused with: one table, one meaning for each code.

    condition                                 code                 reason                detail
    a field outside its range                 INVALID_ARGUMENT     INVALID_FIELD         BadRequest
    bytes that are no request                 INVALID_ARGUMENT     INVALID_MESSAGE       BadRequest
    no such model or version                  NOT_FOUND            MODEL_NOT_FOUND       ResourceInfo
    the queue is full                         RESOURCE_EXHAUSTED   QUEUE_FULL            RetryInfo
    as many streams as may be                 RESOURCE_EXHAUSTED   TOO_MANY_STREAMS      RetryInfo
    too much that clients have not read       RESOURCE_EXHAUSTED   REPLIES_UNREAD        RetryInfo
    the server is still loading               UNAVAILABLE          LOADING               RetryInfo
    an engine is stuck                        UNAVAILABLE          ENGINE_STUCK          RetryInfo
    the server is shutting down               UNAVAILABLE          DRAINING              RetryInfo
    the deadline passed while waiting         DEADLINE_EXCEEDED    DEADLINE_PASSED
    the deadline cannot be met                DEADLINE_EXCEEDED    DEADLINE_UNREACHABLE
    a fault of the engine                     INTERNAL             ENGINE_FAULT          RequestInfo

Each also carries an ErrorInfo with the reason. The rules are those of https://google.aip.dev/193.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from dcgan.core.errors import DcganError

DOMAIN = "dcgan"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
_MOST_NAMES = 20  # in a message; all metadata together may have 8 KiB
_LONGEST_NAME = 80  # of a name that came from outside, in a message that goes back out


class ServingError(DcganError):
    """A server that cannot start, or cannot go on: the model, the port, the device."""


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """Why a request gets no images.

    Attributes:
        code: of gRPC.
        reason: for programs, in UPPER_SNAKE_CASE.
        message: for people, one sentence with the cure.
        details: messages of google/rpc/error_details.proto besides the ErrorInfo.
        retry_s: when it is worth to ask again, in seconds; None if never.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    details: tuple[Message, ...] = ()
    retry_s: float | None = None

    def __str__(self) -> str:
        return self.message

    def status(self) -> Status:
        """The refusal as a google.rpc.Status."""
        packed = []
        for detail in (
            details.ErrorInfo(reason=self.reason, domain=DOMAIN),
            *self._retry_info(),
            *self.details,
        ):
            packed.append(Any())
            packed[-1].Pack(detail)
        return Status(code=self.code.value[0], message=self.message, details=packed)

    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The trailing metadata that goes with it: the status; and a pushback (gRFC A6) if all is full."""
        trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, self.status().SerializeToString())]
        if self.retry_s is not None and self.code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            trailers.append((PUSHBACK_KEY, str(math.ceil(self.retry_s * 1000))))
        return tuple(trailers)

    def _retry_info(self) -> Sequence[Message]:
        if self.retry_s is None:
            return ()
        info = details.RetryInfo()
        info.retry_delay.FromNanoseconds(round(self.retry_s * 1e9))
        return (info,)


def invalid_field(field: str, problem: str) -> Refusal:
    """A field of the request is outside its range."""
    violation = details.BadRequest.FieldViolation(field=field, description=problem)
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        f"{field} {problem}",
        (details.BadRequest(field_violations=[violation]),),
    )


def invalid_message(kind: str) -> Refusal:
    """The bytes are no message of the kind that the method takes."""
    message = f"the request is no {kind}; generate your client from generator.proto"
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE", message, (details.BadRequest(),)
    )


def model_not_found(name: str, version: int | None, known: Sequence[str]) -> Refusal:
    """No such model, or not in that version."""
    wanted = f"{name!r:.{_LONGEST_NAME}}" + ("" if version is None else f" version {version}")
    info = details.ResourceInfo(resource_type="dcgan.v1.Model", resource_name=name[:_LONGEST_NAME])
    more = (
        f", and {len(known) - _MOST_NAMES} more; ListModels has them all"
        if len(known) > _MOST_NAMES
        else ""
    )
    message = f"there is no model {wanted}; this server has {', '.join(known[:_MOST_NAMES])}{more}"
    return Refusal(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", message, (info,))


def queue_full(limit: int, retry_s: float) -> Refusal:
    """More images wait than the server takes on."""
    message = f"the queue of {limit} images is full; come back in {retry_s:.3g} s"
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", message, retry_s=retry_s)


def too_many_streams(limit: int) -> Refusal:
    """More streams are under way than the server takes on."""
    message = f"{limit} streams are under way, which is the limit; come back in a second"
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", message, retry_s=1.0)


def replies_unread(limit: int) -> Refusal:
    """Clients have not read as much as the server keeps for them."""
    message = (
        f"over {limit} bytes of replies wait for their clients to read them; come back in a second"
    )
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "REPLIES_UNREAD", message, retry_s=1.0)


def loading() -> Refusal:
    """The server is not ready yet."""
    message = "the server is still loading its model; come back in a second"
    return Refusal(grpc.StatusCode.UNAVAILABLE, "LOADING", message, retry_s=1.0)


def engine_stuck() -> Refusal:
    """The watchdog found the engine at one batch for too long."""
    message = "the engine is stuck, and has been told to give up; ask another server, or come back in a second"
    return Refusal(grpc.StatusCode.UNAVAILABLE, "ENGINE_STUCK", message, retry_s=1.0)


def draining() -> Refusal:
    """The server is about to stop."""
    message = "the server is shutting down; ask another one, or come back in a second"
    return Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", message, retry_s=1.0)


def deadline_passed() -> Refusal:
    """The deadline came before the images were made."""
    message = (
        "the time of the request was up while it waited; allow more of it or ask for fewer images"
    )
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED", message)


def deadline_unreachable(needed_s: float, left_s: float) -> Refusal:
    """The images cannot be made before the deadline, at the rate that was measured."""
    message = f"the images would be ready in {needed_s:.3g} s but the deadline is in {left_s:.3g} s; allow more time"
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE", message)


def engine_fault(request_id: str) -> Refusal:
    """The engine failed. What went wrong is in the server's log, under the request's id, and nowhere else."""
    message = f"the engine failed on request {request_id}; the server's log has more under that id"
    info = details.RequestInfo(request_id=request_id)
    return Refusal(grpc.StatusCode.INTERNAL, "ENGINE_FAULT", message, (info,))
