"""Translation of gRPC statuses to the errors of the clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from dcgan.serving.client.errors import (
    AccessDeniedError,
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)

# Key of the trailing metadata with a google.rpc.Status.
# Source: https://github.com/grpc/proposal/blob/master/G1-true-binary-metadata.md and grpc_status.
_DETAILS_KEY = "grpc-status-details-bin"

_ERRORS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.UNAVAILABLE: BusyError,
    grpc.StatusCode.CANCELLED: BusyError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: BusyError,
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.NOT_FOUND: RefusedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


@contextmanager
def translating(target: str, *, tls: bool = False) -> Iterator[None]:
    """Turns the RpcError of a call to `target` into a ClientError.

    Args:
        target: address of the server, for the message.
        tls: whether the connection was to be encrypted, for the message.

    Raises:
        ClientError: if the block raises an RpcError.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise translate(error, target, tls=tls) from error


def translate(error: grpc.RpcError, target: str, *, tls: bool = False) -> ClientError:
    """Returns the ClientError that a failed call means to its caller.

    Args:
        error: what gRPC raised.
        target: address of the server, for the message.
        tls: whether the connection was to be encrypted, for the message.
    """
    code = error.code()
    text = error.details() or ""
    info = ErrorInfo()
    bad_request = BadRequest()
    _unpack(error, info, bad_request)

    # Without an ErrorInfo the status comes from gRPC itself, not from the service.
    if code == grpc.StatusCode.UNAVAILABLE and not info.reason:
        return UnreachableError(_explain_unreachable(text, target, tls=tls), code)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and not info.reason:
        cure = "allow more time, or ask for less"
        return DeadlineError(f"{target} did not answer in time; {cure}", code)
    if code == grpc.StatusCode.UNAUTHENTICATED:
        text = f"{text or 'no valid token'}; give a valid token with token= (--token)"

    kind = _ERRORS.get(code, FaultError)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        kind = RefusedError  # gRPC's limit on the size of a message, not a full queue
    violations = bad_request.field_violations
    field = violations[0].field if violations else ""
    return kind(f"{target} answers: {text}", code, info.reason, field)


def _explain_unreachable(text: str, target: str, *, tls: bool) -> str:
    # gRPC reports only the last of the addresses that it tried, so the text may hide the cause.
    if "CERTIFICATE_VERIFY_FAILED" in text or "Peer name" in text:
        cure = "give its authority with ca= (--ca), or name the host that the certificate is for"
        return f"the certificate of {target} is not trusted; {cure}"
    if "SSL_ERROR" in text or "handshake" in text.lower():
        return f"{target} does not speak TLS, or not as gRPC needs it; check port and tls= (--tls)"
    if tls:
        cure = "check the target, and that ca= (--ca) is the authority of its certificate"
        return f"no server answers at {target} over TLS; {cure}"
    return f"no server answers at {target}; start one with dcgan-serve, or name the right target"


def _unpack(error: grpc.RpcError, *details: Message) -> None:
    """Fills in those details that came with the error, and ignores malformed ones."""
    trailers = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key != _DETAILS_KEY:
            continue
        with suppress(DecodeError):
            for packed in Status.FromString(value).details:
                for detail in details:
                    packed.Unpack(detail)
