"""A parsed HTTP request."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dcgan.serving.api.in_flight import Call
from dcgan.serving.http.errors import InvalidRequestError

TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
"""Values of the header field Grpc-Timeout, as in gRPC over HTTP/2."""

_TIMEOUT_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")


@dataclass(frozen=True)
class Request:
    """A request without a body.

    Attributes:
        method: of HTTP.
        raw_path: the path as the client sent it.
        query: the query string as the client sent it.
        headers: header fields, with names in lower case; repeated fields are joined by commas.
        deadline: on the monotonic clock; infinity if there is none.
        request_id: that the client sent, or a new one.
        call: what its client holds; None if nothing is counted.
    """

    method: str
    raw_path: bytes
    query: bytes
    headers: Mapping[str, str]
    deadline: float = math.inf
    request_id: str = ""
    call: Call | None = None


def read_headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decodes header fields; repeated fields are joined by commas (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name = raw_name.decode("latin-1")
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def read_deadline(timeout: str | None, default_s: float) -> float:
    """Returns the deadline of a request on the monotonic clock.

    Args:
        timeout: value of the header field Grpc-Timeout, e.g. "250m"; None if there is none.
        default_s: timeout of a request without that field.

    Raises:
        InvalidRequestError: if the field is malformed.
    """
    if timeout is None:
        return time.monotonic() + default_s

    match = TIMEOUT.fullmatch(timeout)
    if match is None:
        raise InvalidRequestError(
            "Grpc-Timeout must be up to 8 digits and a unit out of H, M, S, m, u and n, "
            "e.g. 250m for 250 milliseconds"
        )

    return time.monotonic() + int(match[1]) * _TIMEOUT_UNITS_S[match[2]]


def read_request_id(value: str | None) -> str:
    """Returns the request id that a client sent, or a new one if it is missing or not usable."""
    if value is not None and _REQUEST_ID.fullmatch(value):
        return value
    return uuid.uuid4().hex
