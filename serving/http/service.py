"""Answers requests: resolves addresses, checks conditions, and generates image files."""

from __future__ import annotations

from collections.abc import Mapping

from dcgan.serving.api.errors import DrainingError
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.http.conditions import any_match, none_match
from dcgan.serving.http.entity import IMMUTABLE
from dcgan.serving.http.errors import (
    AddressNotFoundError,
    MethodNotAllowedError,
    PreconditionFailedError,
)
from dcgan.serving.http.path import (
    FilePath,
    ModelPath,
    Path,
    ResourcePath,
    parse_path,
)
from dcgan.serving.http.pictures import MEDIA_TYPES
from dcgan.serving.http.query import check_no_query
from dcgan.serving.http.rendering import plan_rendering
from dcgan.serving.http.request import Request
from dcgan.serving.http.response import Response, json_response
from dcgan.serving.http.site import Document
from dcgan.serving.models.description import describe_model
from dcgan.serving.models.entity_tag import content_tag
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.peer import LOCAL

METHODS = ("GET", "HEAD", "OPTIONS")

_REDIRECT_CACHING = "public, max-age=60"
_REVALIDATE = "no-cache"


class HttpService:
    """Answers requests from the models that gRPC serves as well.

    Args:
        generation: makes the images.
        readiness: whether the server is ready.
        documents: the page, its files and the OpenAPI document, by path.
    """

    def __init__(
        self, generation: Generation, readiness: Readiness, documents: Mapping[str, Document]
    ) -> None:
        self._generation = generation
        self._readiness = readiness
        self._documents = documents

    async def respond(self, request: Request) -> Response:
        """Answers a GET or HEAD request.

        Raises:
            RequestError: if it cannot be served.
            EngineError: if an engine fails.
        """
        if request.method not in METHODS:
            raise MethodNotAllowedError(request.method, METHODS)

        path = parse_path(request.raw_path)
        if request.method == "OPTIONS":
            return Response(204, headers={"allow": ", ".join(METHODS)})

        if isinstance(path, ResourcePath):
            return await self._respond_with_rendering(request, path)
        return self._respond_with_document(request, path)

    async def _respond_with_rendering(self, request: Request, path: ResourcePath) -> Response:
        model = self._generation.registry.find(path.model, path.version)
        rendering = plan_rendering(model, path, request.query)
        if path.version is None:
            return _redirect(path.at_version(model.version), request.query)

        # Compare entity tags before anything is generated.
        headers = {"etag": rendering.etag, "cache-control": IMMUTABLE}
        if not any_match(request.headers.get("if-match"), rendering.etag):
            raise PreconditionFailedError
        if not none_match(request.headers.get("if-none-match"), rendering.etag):
            return Response(304, headers=headers)

        headers |= rendering.headers | {"content-type": MEDIA_TYPES[path.extension]}
        if request.method == "HEAD":
            return Response(200, headers=headers, has_length=False)
        body = self._generation.cache.find(rendering.etag)
        if body is None:
            peer = LOCAL
            if request.call is not None:
                peer = request.call.peer
                request.call.check_unread(model.replies.pixel_bytes(rendering.shown))
            body = await self._generation.generate_file(
                rendering.request, request.deadline, peer, rendering.write, rendering.cost
            )
            self._generation.cache.add(rendering.etag, body)
        if request.call is not None:  # the replies of other requests have come meanwhile
            request.call.check_unread(len(body))
        return Response(200, body, headers)

    def _respond_with_document(self, request: Request, path: Path) -> Response:
        if isinstance(path, FilePath):
            if path.path in ("/healthz", "/readyz"):
                return self._health(path.path)
            document = self._documents.get(path.path)
            if document is None:
                raise AddressNotFoundError(
                    "there is nothing at this address; see / for the page, /openapi.json for the "
                    "addresses and /v1/models for the models"
                )
            response = Response(200, document.content, document.headers)
        else:
            check_no_query(request.query)
            response = json_response(self._describe(path))

        return _revalidated(request, response)

    def _describe(self, path: Path) -> object:
        registry = self._generation.registry
        if isinstance(path, ModelPath):
            return _model_document(registry.find(path.model, path.version), registry)
        return {"models": [_model_document(model, registry) for model in registry.models]}

    def _health(self, path: str) -> Response:
        if path == "/readyz":
            _ = self._generation.registry  # raises the reason why requests are refused
            if not self._readiness.is_ready:
                raise DrainingError
        status = {"/healthz": "alive", "/readyz": "ready"}[path]
        return json_response({"status": status}, {"cache-control": "no-store"})


def _model_document(model: ServedModel, registry: ModelRegistry) -> dict[str, object]:
    """Returns the description of a model as JSON values, with the address of its images."""
    facts = describe_model(model, is_default=model is registry.default)
    facts["agreement"] = model.agreement.value
    return facts | {"address": f"/v1/models/{model.name}/{model.version}"}


def _redirect(path: str, query: bytes) -> Response:
    location = path + ("?" + query.decode("ascii") if query else "")
    return Response(
        302,
        f"see {location}\n".encode(),
        {
            "location": location,
            "cache-control": _REDIRECT_CACHING,
            "content-type": "text/plain; charset=utf-8",
        },
    )


def _revalidated(request: Request, response: Response) -> Response:
    """Adds an entity tag to a document that may change, and applies the request's conditions."""
    etag = content_tag(response.body)
    headers = {"etag": etag, "cache-control": _REVALIDATE}
    if not any_match(request.headers.get("if-match"), etag):
        raise PreconditionFailedError
    if not none_match(request.headers.get("if-none-match"), etag):
        return Response(304, headers=headers)
    return Response(response.status, response.body, {**response.headers, **headers})
