"""The documents of the server: the gallery page with its files, and the OpenAPI document."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from dcgan.serving.http.openapi import openapi_document

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True)
class Document:
    """A document in memory.

    Attributes:
        content: the bytes.
        headers: header fields.
    """

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


def load_site() -> dict[str, Document]:
    """Loads all documents.

    Returns:
        The documents by path: the page at "/", its files under "/static/", and "/openapi.json".
    """
    content = json.dumps(openapi_document()).encode()
    documents = {"/openapi.json": Document(content, {"content-type": "application/json"})}

    for file in sorted(_FOLDER.iterdir()):
        media_type = _MEDIA_TYPES.get(file.suffix)
        if media_type is None:
            continue

        is_page = file.name == "index.html"
        headers = {"content-type": media_type}
        if is_page:
            headers["content-security-policy"] = _CONTENT_SECURITY_POLICY
            headers["referrer-policy"] = "no-referrer"

        path = "/" if is_page else f"/static/{file.name}"
        documents[path] = Document(file.read_bytes(), headers)
    return documents
