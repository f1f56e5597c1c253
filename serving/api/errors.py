"""Reasons why the API refuses a request before it reaches the scheduler."""

from __future__ import annotations

import logging
from typing import ClassVar

from dcgan.serving.engine.base import EngineError
from dcgan.serving.errors import RequestError, RetryableError

logger = logging.getLogger(__name__)


class InvalidFieldError(RequestError):
    """A field of the request is outside its range.

    Args:
        field: name of the field.
        problem: what the field must be, as the rest of a sentence that begins with its name.
    """

    reason: ClassVar[str] = "INVALID_FIELD"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field or 'a field without a name'} {problem}")
        self.field = field
        self.problem = problem


class InvalidMessageError(RequestError):
    """The bytes of the request cannot be parsed.

    Args:
        message_type: full name of the expected message.
    """

    reason: ClassVar[str] = "INVALID_MESSAGE"

    def __init__(self, message_type: str) -> None:
        super().__init__(
            f"the request is not a {message_type}; generate the client from generator.proto"
        )


class TooManyCallsError(RetryableError):
    """Too many calls are open, on all connections, or on this one or its address.

    Args:
        limit: maximum number of calls.
    """

    reason: ClassVar[str] = "TOO_MANY_CALLS"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"of at most {limit} calls at once, this connection or its address has its share, or "
            "others have the rest; retry in a second"
        )


class TooManyStreamsError(RetryableError):
    """Too many streams are open, on all connections, or on this one or its address.

    Args:
        limit: maximum number of streams.
    """

    reason: ClassVar[str] = "TOO_MANY_STREAMS"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"of at most {limit} streams at once, this connection or its address has its share, or "
            "others have the rest; retry in a second"
        )


class UnreadRepliesError(RetryableError):
    """Too many replies are unread, by all clients, or by this one or its address.

    Args:
        limit_bytes: memory of unread replies that the server keeps.
    """

    reason: ClassVar[str] = "REPLIES_UNREAD"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"of {limit_bytes} bytes for replies that wait to be read, this connection or its "
            "address has its share, or others have the rest; read faster, or retry in a second"
        )


class RequestTimeoutError(RequestError):
    """The request did not arrive after its headers.

    Args:
        limit_s: time that it has.
    """

    reason: ClassVar[str] = "REQUEST_TIMEOUT"

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"the request has not arrived within {limit_s:g} s of its headers; send it at once"
        )


class ReplyTimeoutError(RetryableError):
    """The client does not read a stream.

    Args:
        limit_s: time that it has for each reply.
    """

    reason: ClassVar[str] = "REPLY_TIMEOUT"

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"a reply of the stream was not read within {limit_s:g} s and a second for each "
            "64 KiB; read faster, and ask for the missing images"
        )


class CallTimeoutError(RetryableError):
    """The call takes too long, though it has no deadline.

    Args:
        limit_s: time that a call has.
    """

    reason: ClassVar[str] = "CALL_TIMEOUT"

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"a call is ended after {limit_s:g} s; ask for the missing images, or for fewer at once"
        )


class LoadingError(RetryableError):
    """The server has not loaded its models yet."""

    reason: ClassVar[str] = "LOADING"

    def __init__(self) -> None:
        super().__init__("the server is still loading its models; retry in a second")


class DrainingError(RetryableError):
    """The server is shutting down."""

    reason: ClassVar[str] = "DRAINING"

    def __init__(self) -> None:
        super().__init__(
            "the server is shutting down; retry on another replica, or here in a second"
        )


class EngineFaultError(RequestError):
    """An engine, or anything else in the server, failed on the request. Only the log has the cause.

    Args:
        request_id: under which the log has it.
    """

    reason: ClassVar[str] = "ENGINE_FAULT"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"the engine failed on request {request_id}; the server's log has more under that id"
        )
        self.request_id = request_id


def engine_fault(cause: Exception, request_id: str) -> EngineFaultError:
    """Logs an unexpected error under the id of its request, and returns what the client may see."""
    if isinstance(cause, EngineError):  # the dispatcher has logged the error of the batch
        logger.error("request %s was in a batch that failed", request_id)
    else:
        logger.error("request %s failed", request_id, exc_info=cause)
    return EngineFaultError(request_id)
