"""Configuration of the HTTP service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """How HTTP is served.

    Attributes:
        port: to listen on; 0 for any free port.
        cors_origins: origins whose pages may read responses, e.g. "https://example.org"; "*" for
            any.
        access_log: whether each request is logged.
        request_timeout_s: deadline of a request that sends no Grpc-Timeout.
        max_connections: open connections, above which idle ones are closed and new ones refused;
            half of the files that the process may open, if that is less. One address gets nine
            tenths at most.
        header_timeout_s: time that a client has to send the head of a request.
        idle_timeout_s: time after which a connection without a request is closed.
        read_timeout_s: time that a client has to read a response.
        max_target_bytes: size of the request target, above which the status is 414.
        max_header_bytes: size of the head of a request, above which the status is 431.
        max_body_bytes: size of a request's body, which is ignored, above which the status is 413.
    """

    port: int = 8000
    cors_origins: tuple[str, ...] = ()
    access_log: bool = True
    request_timeout_s: float = 30.0
    max_connections: int = 8192
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    read_timeout_s: float = 60.0
    max_target_bytes: int = 8 * 2**10
    max_header_bytes: int = 32 * 2**10
    max_body_bytes: int = 64 * 2**10
