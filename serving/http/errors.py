"""Reasons why HTTP refuses a request before it reaches the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dcgan.serving.errors import RequestError, RetryableError


class InvalidAddressError(RequestError):
    """The path cannot be decoded, or names a seed, version or text outside its range."""

    reason: ClassVar[str] = "INVALID_ADDRESS"


class InvalidRequestError(RequestError):
    """The bytes are not an HTTP request, or a header is missing or malformed."""

    reason: ClassVar[str] = "INVALID_REQUEST"


class AddressNotFoundError(RequestError):
    """There is nothing at the address."""

    reason: ClassVar[str] = "ADDRESS_NOT_FOUND"


class MethodNotAllowedError(RequestError):
    """The server does not support the method.

    Args:
        method: of the request.
        allowed: the methods that the server supports.
    """

    reason: ClassVar[str] = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"the method {method} is not allowed here; use {' or '.join(allowed)}")
        self.allowed = tuple(allowed)


class PreconditionFailedError(RequestError):
    """No entity tag in If-Match matches."""

    reason: ClassVar[str] = "PRECONDITION_FAILED"

    def __init__(self) -> None:
        super().__init__("no entity tag in If-Match is that of the address")


class BodyTooLargeError(RequestError):
    """The body of the request is too large.

    Args:
        limit_bytes: maximum size.
    """

    reason: ClassVar[str] = "BODY_TOO_LARGE"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body has over {limit_bytes} bytes; send none, requests need no body")


class TargetTooLongError(RequestError):
    """The path and query of the request are too long.

    Args:
        limit_bytes: maximum size.
    """

    reason: ClassVar[str] = "TARGET_TOO_LONG"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the path and query have over {limit_bytes} bytes; shorten them")


class HeadersTooLargeError(RequestError):
    """The header fields of the request are too large.

    Args:
        limit_bytes: maximum size of the head of a request.
    """

    reason: ClassVar[str] = "HEADERS_TOO_LARGE"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the head of the request has over {limit_bytes} bytes; send less")


class HeaderTimeoutError(RequestError):
    """The client took too long to send the head of its request.

    Args:
        limit_s: time that it had.
    """

    reason: ClassVar[str] = "HEADER_TIMEOUT"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the head of the request was not complete within {limit_s:g} s")


class TooManyConnectionsError(RetryableError):
    """The maximum number of connections is open, or the share of this address.

    Args:
        limit: maximum number of connections.
    """

    reason: ClassVar[str] = "TOO_MANY_CONNECTIONS"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"of at most {limit} connections, this address has its share, or others have the rest; "
            "retry in a second"
        )
