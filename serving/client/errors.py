"""The errors that the clients raise.

ClientError
├── UnreachableError    no server answers at the target
├── BusyError           the queue is full, or the server is loading or shutting down
├── RefusedError        a field is out of range, or there is no such model
├── AccessDeniedError   the token is missing or wrong, or does not permit the request
├── DeadlineError       the deadline passed, or cannot be met
└── FaultError          anything else
"""

from __future__ import annotations

import grpc

from dcgan.core.errors import DcganError


class ClientError(DcganError):
    """A request that failed.

    Errors can be pickled and copied; a copy equals the original.

    Attributes:
        code: gRPC status code.
        reason: reason of the server's ErrorInfo, e.g. "QUEUE_FULL"; empty if the server sent none.
        field: name of the request field that the server refused; empty if it named none.
    """

    def __init__(
        self, message: str, code: grpc.StatusCode, reason: str = "", field: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field

    def __reduce__(self) -> tuple[type[ClientError], tuple[str, grpc.StatusCode, str, str]]:
        # BaseException would call the constructor with the message alone.
        return type(self), self._identity()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, grpc.StatusCode, str, str]:
        return str(self), self.code, self.reason, self.field


class UnreachableError(ClientError):
    """No server answers at the target."""


class BusyError(ClientError):
    """The queue is full, or the server is loading or shutting down; try again later."""


class RefusedError(ClientError):
    """A field is out of range, or there is no such model."""


class AccessDeniedError(ClientError):
    """The token is missing or wrong, or does not permit the request."""


class DeadlineError(ClientError):
    """The deadline passed, or cannot be met."""


class FaultError(ClientError):
    """Anything else, e.g. a fault inside the server."""
