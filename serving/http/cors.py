"""Cross-origin resource sharing: which other origins may read responses (fetch.spec.whatwg.org)."""

from __future__ import annotations

from collections.abc import Collection

from dcgan.serving.http.entity import PROVENANCE_FIELDS
from dcgan.serving.http.request import Request
from dcgan.serving.http.response import Response

_ANY = "*"
_EXPOSED = ", ".join(("ETag", "Retry-After", "X-Request-Id", *PROVENANCE_FIELDS))
_ALLOWED_FIELDS = "Grpc-Timeout, If-Match, If-None-Match, X-Request-Id"


class Cors:
    """The CORS policy of the server.

    Args:
        origins: that may read responses; "*" for any, nothing for none.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def is_preflight(self, request: Request) -> bool:
        """Returns whether a request is a CORS preflight request."""
        return (
            request.method == "OPTIONS"
            and "origin" in request.headers
            and "access-control-request-method" in request.headers
        )

    def preflight_response(self, request: Request) -> Response:
        """Returns the answer to a preflight request."""
        if not self._allows(request.headers.get("origin")):
            return Response(204)

        return Response(
            204,
            headers={
                "access-control-allow-methods": "GET, HEAD",
                "access-control-allow-headers": _ALLOWED_FIELDS,
                "access-control-max-age": "86400",
            },
        )

    def response_headers(self, origin: str | None) -> dict[str, str]:
        """Returns the header fields that let a page of an origin read a response."""
        if not self._origins:
            return {}
        if _ANY in self._origins:
            return {"access-control-allow-origin": _ANY, "access-control-expose-headers": _EXPOSED}
        if origin is None or not self._allows(origin):
            return {"vary": "Origin"}
        return {
            "vary": "Origin",
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _EXPOSED,
        }

    def _allows(self, origin: str | None) -> bool:
        return _ANY in self._origins or origin in self._origins
