"""The gRPC status of every error that a request can end with. One code has one meaning.

Each status carries an ErrorInfo with the error's reason, and the details of the table below. A
retryable error also carries a RetryInfo. The rules are those of https://google.aip.dev/193.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from dcgan.serving.api.errors import (
    CallTimeoutError,
    DrainingError,
    EngineFaultError,
    InvalidFieldError,
    InvalidMessageError,
    LoadingError,
    ReplyTimeoutError,
    RequestTimeoutError,
    TooManyCallsError,
    TooManyStreamsError,
    UnreadRepliesError,
)
from dcgan.serving.errors import RequestError, RetryableError
from dcgan.serving.models.registry import ModelNotFoundError
from dcgan.serving.scheduling.errors import (
    DeadlinePassedError,
    DeadlineUnreachableError,
    EngineStuckError,
    QueueFullError,
)

DOMAIN = "dcgan"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"


@dataclass(frozen=True)
class GrpcStatus:
    """An error as gRPC reports it.

    Attributes:
        code: status code.
        message: one sentence.
        trailers: trailing metadata with the details.
    """

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def status_of(error: RequestError) -> GrpcStatus:
    """Returns the gRPC status of an error.

    A server that is full also sends a retry pushback (gRFC A6), so that clients with a retry policy
    wait.
    """
    code, describe = _TABLE[type(error)]
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN),
        *describe(error),
    ]
    pushback: tuple[tuple[str, str | bytes], ...] = ()
    if isinstance(error, RetryableError):
        details.append(_retry_info(error.retry_after_s))
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            pushback = ((PUSHBACK_KEY, str(math.ceil(error.retry_after_s * 1000))),)

    message = str(error)
    status = Status(code=code.value[0], message=message, details=map(_pack, details))
    return GrpcStatus(code, message, ((DETAILS_KEY, status.SerializeToString()), *pushback))


def _no_details(error: RequestError) -> tuple[Message, ...]:  # noqa: ARG001
    return ()


def _bad_field(error: InvalidFieldError) -> tuple[Message, ...]:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=error.field, description=error.problem
    )
    return (error_details_pb2.BadRequest(field_violations=[violation]),)


def _bad_message(error: InvalidMessageError) -> tuple[Message, ...]:  # noqa: ARG001
    return (error_details_pb2.BadRequest(),)


def _missing_model(error: ModelNotFoundError) -> tuple[Message, ...]:
    info = error_details_pb2.ResourceInfo(resource_type="dcgan.v1.Model", resource_name=error.name)
    return (info,)


def _request_info(error: EngineFaultError) -> tuple[Message, ...]:
    return (error_details_pb2.RequestInfo(request_id=error.request_id),)


def _retry_info(retry_after_s: float) -> Message:
    delay = Duration()
    delay.FromNanoseconds(round(retry_after_s * 1e9))
    info: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return info


def _pack(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_LATE = grpc.StatusCode.DEADLINE_EXCEEDED

# Each error with its code, and the function that returns its details.
_TABLE: dict[type[RequestError], tuple[grpc.StatusCode, Callable[[Any], tuple[Message, ...]]]] = {
    InvalidFieldError: (_INVALID, _bad_field),
    InvalidMessageError: (_INVALID, _bad_message),
    ModelNotFoundError: (grpc.StatusCode.NOT_FOUND, _missing_model),
    QueueFullError: (_FULL, _no_details),
    TooManyCallsError: (_FULL, _no_details),
    TooManyStreamsError: (_FULL, _no_details),
    UnreadRepliesError: (_FULL, _no_details),
    LoadingError: (_UNAVAILABLE, _no_details),
    EngineStuckError: (_UNAVAILABLE, _no_details),
    DrainingError: (_UNAVAILABLE, _no_details),
    ReplyTimeoutError: (_UNAVAILABLE, _no_details),
    CallTimeoutError: (_UNAVAILABLE, _no_details),
    RequestTimeoutError: (_LATE, _no_details),
    DeadlinePassedError: (_LATE, _no_details),
    DeadlineUnreachableError: (_LATE, _no_details),
    EngineFaultError: (grpc.StatusCode.INTERNAL, _request_info),
}
