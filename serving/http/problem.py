"""The HTTP status and problem document (RFC 9457) of every error that a request can end with.

The reasons are those of gRPC's ErrorInfo. A server that is full answers 429 and one that cannot
serve answers 503, so that overload does not look like failure.
"""

from __future__ import annotations

import json
import math

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
from dcgan.serving.http.errors import (
    AddressNotFoundError,
    BodyTooLargeError,
    HeadersTooLargeError,
    HeaderTimeoutError,
    InvalidAddressError,
    InvalidRequestError,
    MethodNotAllowedError,
    PreconditionFailedError,
    TargetTooLongError,
    TooManyConnectionsError,
)
from dcgan.serving.http.response import Response
from dcgan.serving.models.registry import ModelNotFoundError
from dcgan.serving.scheduling.errors import (
    DeadlinePassedError,
    DeadlineUnreachableError,
    EngineStuckError,
    QueueFullError,
)

MEDIA_TYPE = "application/problem+json"

# Each error with its status and the title of its problem document.
TABLE: dict[type[RequestError], tuple[int, str]] = {
    InvalidFieldError: (400, "A field of the query is invalid"),
    InvalidMessageError: (400, "The request cannot be parsed"),
    InvalidAddressError: (400, "The address is invalid"),
    InvalidRequestError: (400, "The request is invalid"),
    ModelNotFoundError: (404, "There is no such model"),
    AddressNotFoundError: (404, "There is nothing at this address"),
    MethodNotAllowedError: (405, "The method is not allowed"),
    HeaderTimeoutError: (408, "The request took too long to arrive"),
    PreconditionFailedError: (412, "The precondition failed"),
    BodyTooLargeError: (413, "The body is too large"),
    TargetTooLongError: (414, "The address is too long"),
    QueueFullError: (429, "The queue is full"),
    TooManyCallsError: (429, "Too many calls are open"),
    TooManyStreamsError: (429, "Too many streams are open"),
    UnreadRepliesError: (429, "Too many responses are unread"),
    HeadersTooLargeError: (431, "The header fields are too large"),
    EngineFaultError: (500, "The engine failed"),
    LoadingError: (503, "The server is loading"),
    DrainingError: (503, "The server is shutting down"),
    EngineStuckError: (503, "An engine is stuck"),
    ReplyTimeoutError: (503, "The client does not read"),
    CallTimeoutError: (503, "The call took too long"),
    TooManyConnectionsError: (503, "Too many connections are open"),
    RequestTimeoutError: (504, "The message of the request took too long to arrive"),
    DeadlinePassedError: (504, "The deadline passed"),
    DeadlineUnreachableError: (504, "The deadline cannot be met"),
}


def problem_response(error: RequestError, request_id: str | None = None) -> Response:
    """Returns the response to a request that cannot be served.

    Args:
        error: why.
        request_id: of the request; None if none was read.
    """
    status, title = TABLE[type(error)]
    problem: dict[str, object] = {
        "type": f"urn:dcgan:problem:{error.reason.lower().replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": str(error),
        "reason": error.reason,
    }
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}

    if request_id is not None:
        problem["request_id"] = request_id
    if isinstance(error, InvalidFieldError):
        problem["field"] = error.field
    if isinstance(error, RetryableError):
        problem["retry_after_s"] = round(error.retry_after_s, 3)
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, MethodNotAllowedError):
        headers["allow"] = ", ".join(error.allowed)

    return Response(status, json.dumps(problem).encode(), headers)
