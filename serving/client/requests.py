"""The requests of the clients, and the options that they have in common."""

from __future__ import annotations

from typing import TypedDict, TypeVar

import grpc
from google.protobuf.message import Message

from dcgan.serving.client.errors import RefusedError

MAX_UNARY_IMAGES = 64
"""The most images of one unary request; more are requested as a stream."""

M = TypeVar("M", bound=Message)


class ImageOptions(TypedDict, total=False):
    """Options of a request for images, besides seeds and indices.

    Attributes:
        model: name of a model; by default the server's default model.
        version: version of the model; by default the newest.
        label: class of all images, for a conditional model; by default image i has class i mod
            classes.
        truncation: factor in (0, 1] on the latent vectors; by default 1.
    """

    model: str
    version: int
    label: int
    truncation: float


def build_request(kind: type[M], **fields: object) -> M:
    """Builds a request message.

    Raises:
        RefusedError: if a value does not fit its field.
    """
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r:.40}" for name, value in fields.items())
        raise RefusedError(f"{given}: {error}", grpc.StatusCode.INVALID_ARGUMENT) from None
