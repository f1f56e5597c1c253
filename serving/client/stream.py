"""Resuming a stream of images that broke."""

from __future__ import annotations

import grpc

from dcgan.core.images import Pixels
from dcgan.serving.client.errors import BusyError, ClientError, FaultError, UnreachableError
from dcgan.serving.client.replies import Response, read_pixels
from dcgan.serving.client.requests import ImageOptions, build_request
from dcgan.serving.client.retry import MAX_ATTEMPTS
from dcgan.v1 import generator_pb2 as pb


class ResumableStream:
    """The state of a streaming request, so that it can be sent again for the missing images.

    Args:
        seed: seed of the images.
        n: number of images.
        offset: index of the first image.
        options: other options of the request.
    """

    def __init__(self, seed: int, n: int, offset: int, options: ImageOptions) -> None:
        self._seed = seed
        self._n = n
        self._offset = offset
        self._options = options
        self._received = 0
        self._attempts = 0  # since the last chunk
        self._provenance: pb.Provenance | None = None  # of the first chunk

    def request(self) -> pb.GenerateStreamRequest:
        """Returns the request for the images that are missing.

        Raises:
            RefusedError: if a value does not fit its field.
        """
        options = self._options.copy()
        if self._provenance is not None:
            # By now the server may have another default model, or a newer version.
            options["model"] = self._provenance.model
            options["version"] = self._provenance.version

        return build_request(
            pb.GenerateStreamRequest,
            seed=self._seed,
            n=self._n - self._received,
            offset=self._offset + self._received,
            **options,
        )

    def read(self, response: Response) -> Pixels:
        """Returns the images of a chunk, uint8 [k, H, W, C], and counts them as received.

        Raises:
            FaultError: if they are not from the same model as the chunks before.
        """
        if self._provenance is None:
            self._provenance = response.provenance
        if response.provenance.digest != self._provenance.digest:
            before = _describe(self._provenance)
            now = _describe(response.provenance)
            raise FaultError(
                f"the stream began with model {before} and continues with {now}",
                grpc.StatusCode.INTERNAL,
            )

        chunk = read_pixels(response)
        self._received += len(chunk)
        self._attempts = 0
        return chunk

    def retry_or_raise(self, error: ClientError) -> None:
        """Returns normally if the request should be sent again after an error.

        Raises:
            ClientError: the given error, if sending the request again is of no use.
        """
        self._attempts += 1
        transient = isinstance(error, UnreachableError | BusyError)
        # Before the first chunk the channel itself has retried.
        if not transient or self._received == 0 or self._attempts == MAX_ATTEMPTS:
            raise error


def _describe(provenance: pb.Provenance) -> str:
    return f"{provenance.model} {provenance.version} ({provenance.digest:.12})"
