"""Base classes of the server's errors: those that stop it, and those that refuse a request."""

from __future__ import annotations

from typing import ClassVar

from dcgan.core.errors import DcganError


class ServingError(DcganError):
    """The server cannot start or cannot continue: the model, the port or the device is at fault."""


class RequestError(Exception):
    """A request cannot be served.

    The message is one sentence that names the cure. Each protocol maps the subclasses to
    status codes: gRPC does in `api/status.py`.

    Attributes:
        reason: machine-readable name of the condition in UPPER_SNAKE_CASE, the same for every
            protocol.
    """

    reason: ClassVar[str]


class RetryableError(RequestError):
    """A request that this server cannot serve now, but may be able to serve later.

    Args:
        message: one sentence that names the cure.
        retry_after_s: delay after which a retry is worthwhile, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
