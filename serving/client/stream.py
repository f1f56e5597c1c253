"""Resuming a stream of images that broke."""

from __future__ import annotations

from dcgan.core.images import Pixels
from dcgan.serving.client.errors import BusyError, ClientError, UnreachableError
from dcgan.serving.client.replies import Response
from dcgan.serving.client.reply_reader import ReplyReader
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

    Raises:
        RefusedError: if a value does not fit its field.
    """

    def __init__(self, seed: int, n: int, offset: int, options: ImageOptions) -> None:
        self._request = build_request(
            pb.GenerateStreamRequest, seed=seed, n=n, offset=offset, **options
        )
        self._reader = ReplyReader(self._request)
        self._attempts = 0  # since the last chunk

    @property
    def is_complete(self) -> bool:
        """Whether all images have been received."""
        return self._reader.is_complete

    def request(self) -> pb.GenerateStreamRequest:
        """Returns the request for the images that are missing."""
        request = pb.GenerateStreamRequest()
        request.CopyFrom(self._request)
        request.n -= self._reader.received
        request.offset += self._reader.received

        provenance = self._reader.provenance
        if provenance is not None:
            # By now the server may have another default model, or a newer version.
            request.model = provenance.model
            request.version = provenance.version
        return request

    def read(self, response: Response) -> Pixels:
        """Returns the images of a chunk, uint8 [k, H, W, C], and counts them as received.

        Raises:
            FaultError: if they are not the next ones, from the same model as the chunks before.
        """
        chunk = self._reader.read(response)
        self._attempts = 0
        return chunk

    def finish(self) -> None:
        """Ends the stream.

        Raises:
            FaultError: if images are missing.
        """
        self._reader.finish()

    def retry_or_raise(self, error: ClientError) -> None:
        """Returns normally if the request should be sent again after an error.

        Raises:
            ClientError: the given error, if sending the request again is of no use.
        """
        self._attempts += 1
        transient = isinstance(error, UnreachableError | BusyError)
        # Before the first chunk the channel itself has retried.
        if not transient or self._reader.received == 0 or self._attempts == MAX_ATTEMPTS:
            raise error
