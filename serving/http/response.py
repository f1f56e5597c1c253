"""A complete HTTP response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Response:
    """A response whose body is known.

    Attributes:
        status: HTTP status.
        body: the content.
        headers: header fields, with names in lower case; the content length is added when it is
            sent.
        has_length: whether the content length is known; False for a HEAD response whose content was
            not made.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    has_length: bool = True


def json_response(content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a response with a JSON document."""
    body = json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
    return Response(200, body, {"content-type": "application/json", **(headers or {})})
