"""Reading the replies to a request, each checked against the request."""

from __future__ import annotations

from typing import TypeAlias

from dcgan.core.images import Pixels
from dcgan.core.text import printable
from dcgan.serving.client.replies import Response, fault, read_exactly, read_pixels, wrong_number
from dcgan.v1 import generator_pb2 as pb

ImagesRequest: TypeAlias = pb.GenerateRequest | pb.GenerateStreamRequest | pb.InterpolateRequest

_MAX_SHOWN = 60  # characters of a name
_REPEATED = ("seed", "seed_a", "seed_b", "offset_a", "offset_b")  # in replies, from the request


class ReplyReader:
    """Reads the images out of the replies to one request.

    Args:
        request: for images, with its number of images.

    Attributes:
        received: number of images read.
        provenance: of the first reply; None before it.
    """

    def __init__(self, request: ImagesRequest) -> None:
        self.received = 0
        self.provenance: pb.Provenance | None = None
        self._shape: tuple[int, ...] | None = None  # of each image
        self._model = request.model
        self._version = request.version if request.HasField("version") else None
        self._repeated = {
            name: getattr(request, name)
            for name in _REPEATED
            if name in request.DESCRIPTOR.fields_by_name
        }
        if isinstance(request, pb.InterpolateRequest):
            self._n = request.steps
            self._first = 0
        else:
            self._n = request.n
            self._first = request.offset

    @property
    def is_complete(self) -> bool:
        """Whether all images have been read."""
        return 0 < self.received == self._n

    def read_all(self, response: Response) -> Pixels:
        """Returns the images of the only reply, uint8 [n, H, W, C].

        Raises:
            FaultError: if the reply is not the one to the request.
        """
        self._check(response)
        return read_exactly(response, self._n)

    def read(self, response: Response) -> Pixels:
        """Returns the images of the next reply, uint8 [k, H, W, C], and counts them.

        Raises:
            FaultError: if the reply is not the next one to the request.
        """
        self._check(response)
        images = read_pixels(response)
        if not len(images):
            raise fault("the server sent a reply without images")
        self._check_shape(images.shape[1:])
        received = self.received + len(images)
        if received > self._n:
            raise wrong_number(received, self._n)
        self.received = received
        return images

    def finish(self) -> None:
        """Ends the replies.

        Raises:
            FaultError: if images are missing.
        """
        if self.received != self._n:
            raise wrong_number(self.received, self._n)

    def _check(self, response: Response) -> None:
        for name, wanted in self._repeated.items():
            _check_field(name, getattr(response, name), wanted)
        _check_field("offset", response.offset, self._first + self.received)
        self._check_model(response.provenance)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if self._shape is None:
            self._shape = shape
        elif shape != self._shape:
            raise fault(
                f"the server sent images of the shape {shape} after some of the shape {self._shape}"
            )

    def _check_model(self, provenance: pb.Provenance) -> None:
        if self.provenance is None:
            check_model(provenance.model, provenance.version, self._model, self._version)
            self.provenance = provenance
        elif provenance.digest != self.provenance.digest:
            before = _describe(self.provenance)
            now = _describe(provenance)
            raise fault(f"the stream began with model {before} and continues with {now}")


def check_model(name: str, version: int, asked: str, asked_version: int | None) -> None:
    """Checks that a reply is of the model that was asked for.

    Args:
        name: of the model in the reply.
        version: of the model in the reply.
        asked: name in the request; empty for any.
        asked_version: version in the request; None for any.

    Raises:
        FaultError: if it is another model, or none.
    """
    if not name:
        raise fault("the server sent a reply that names no model")
    if asked not in ("", name) or asked_version not in (None, version):
        sent = f"{printable(name, _MAX_SHOWN)} version {version}"
        wanted = printable(asked or name, _MAX_SHOWN)
        if asked_version is not None:
            wanted += f" version {asked_version}"
        raise fault(f"the server answered for the model {sent}, not {wanted}")


def _check_field(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise fault(f"the server sent images with {name} {found}, not {wanted}")


def _describe(provenance: pb.Provenance) -> str:
    name = printable(provenance.model, _MAX_SHOWN)
    return f"{name} {provenance.version} ({printable(provenance.digest[:12])})"
