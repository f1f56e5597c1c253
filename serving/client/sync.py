"""The client for threads: `Client(target).generate(seed, n)` returns images as a NumPy array."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self, Unpack

from PIL import Image

from dcgan.core.images import Pixels
from dcgan.serving.client.base import ClientBase, needs_stream
from dcgan.serving.client.errors import ClientError, RefusedError, UnreachableError
from dcgan.serving.client.replies import (
    Response,
    collect_images,
    to_pillow_images,
)
from dcgan.serving.client.reply_reader import ReplyReader, check_model
from dcgan.serving.client.requests import MAX_UNARY_IMAGES, ImageOptions, build_request
from dcgan.serving.client.settings import ClientSettings
from dcgan.serving.client.status import translating
from dcgan.serving.client.stream import ResumableStream
from dcgan.serving.client.sync_connection import Connection, StreamCall, open_connection
from dcgan.v1 import generator_pb2 as pb


class Client(ClientBase):
    """A client of one server, or of several that take turns.

    Calls that find no server, or a busy one, are retried a few times, as long as most calls
    succeed. Images are pure functions of the request, so retrying is always safe. A stream that
    breaks is resumed where it broke.

    It may be shared between threads. A client that is pickled or copied becomes a new client with
    the same settings, token included.

    Args:
        target: address of the server, `host:port`, or of several with commas between them. Names
            are resolved again from time to time.
        timeout_s: time that each call may take with all its retries, unless the call has another.
        hedge_after_s: time after which a call without an answer is sent a second time, to the next
            server, and the first answer is taken. At most one call in ten is sent twice. None for
            never.
        tls: whether to encrypt the connection. The certificate of each server must be valid for its
            own host, as `target` names it.
        ca: certificates of the authorities to trust, as the path of a PEM file or its bytes; by
            default those that gRPC ships. Implies `tls`.
        token: bearer token, sent as `authorization: Bearer ...`. It needs `tls`, unless the server
            is on this machine.
        metadata: more metadata to send with each call.

    Raises:
        ClientError: if one of the arguments cannot be used.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, and ends the calls that are under way."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.channel.close()

    def generate(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> Pixels:
        """Generates the images `offset` to `offset + n - 1` of a seed.

        Equal arguments give equal images.

        Args:
            seed: any 64-bit number; it names the images.
            n: number of images.
            offset: index of the first image.
            timeout_s: time of this call with all its retries, in seconds.
            **options: model, version, label and truncation; see `ImageOptions`.

        Returns:
            uint8 [n, H, W, C].

        Raises:
            ClientError: if the server cannot be reached, or refuses.
        """
        deadline = self._deadline(timeout_s)
        request = build_request(pb.GenerateRequest, seed=seed, n=n, offset=offset, **options)
        if n <= MAX_UNARY_IMAGES:
            try:
                with self._translating():
                    response = self._send(request, deadline.remaining_s())
                return ReplyReader(request).read_all(response)
            except RefusedError as error:
                if not needs_stream(error, n):
                    raise

        left_s = deadline.remaining_s()
        return collect_images(self.stream(seed, n, offset=offset, timeout_s=left_s, **options), n)

    def pictures(
        self,
        seed: int,
        n: int = 1,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> list[Image.Image]:
        """Generates images as `generate` does, and returns them as Pillow images."""
        images = self.generate(seed, n, offset=offset, timeout_s=timeout_s, **options)
        return to_pillow_images(images)

    def stream(
        self,
        seed: int,
        n: int,
        *,
        offset: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> Generator[Pixels, None, None]:
        """Generates any number of images, in chunks: each uint8 [k, H, W, C].

        The server works only a little ahead of the reader. Closing the generator ends the request.
        See `generate` for arguments and errors.
        """
        deadline = self._deadline(timeout_s)
        stream = ResumableStream(seed, n, offset, options)

        while not stream.is_complete:
            try:
                request = stream.request()
                with closing(
                    self._read("GenerateStream", request, deadline.remaining_s())
                ) as responses:
                    yield from map(stream.read, responses)
                stream.finish()
            except ClientError as error:
                stream.retry_or_raise(error)

    def interpolate(
        self,
        seed_a: int,
        seed_b: int,
        steps: int,
        *,
        offset_a: int = 0,
        offset_b: int = 0,
        timeout_s: float | None = None,
        **options: Unpack[ImageOptions],
    ) -> Generator[Pixels, None, None]:
        """Interpolates from an image of one seed to an image of another, or of the same seed.

        Args:
            seed_a: seed of the first image.
            seed_b: seed of the last image.
            steps: number of images, the two ends included.
            offset_a: index of the first image under `seed_a`.
            offset_b: index of the last image under `seed_b`.
            timeout_s: time of this call with all its retries, in seconds.
            **options: model, version, label and truncation; see `ImageOptions`.

        Returns:
            Chunks, each uint8 [k, H, W, C].

        Raises:
            ClientError: if the server cannot be reached, or refuses.
        """
        ends = {"seed_a": seed_a, "seed_b": seed_b, "offset_a": offset_a, "offset_b": offset_b}
        request = build_request(pb.InterpolateRequest, **ends, steps=steps, **options)
        left_s = self._deadline(timeout_s).remaining_s()
        return _read_all(ReplyReader(request), self._read("Interpolate", request, left_s))

    def models(self) -> list[pb.Model]:
        """Returns all models of the server, the default first.

        Raises:
            ClientError: if the server cannot be reached.
        """
        with self._translating():
            connection = self._connect()
            left_s = self._deadline(None).remaining_s()
            response: pb.ListModelsResponse = connection.call(
                "ListModels", pb.ListModelsRequest(), left_s
            )

        for model in response.models:
            check_model(model.name, model.version, "", None)
        return list(response.models)

    def model(self, name: str = "", version: int | None = None) -> pb.Model:
        """Returns one model; by default the server's default model, in its newest version.

        Raises:
            ClientError: if the server cannot be reached, or there is no such model.
        """
        request = build_request(pb.GetModelRequest, name=name, version=version)
        with self._translating():
            connection = self._connect()
            left_s = self._deadline(None).remaining_s()
            response: pb.GetModelResponse = connection.call("GetModel", request, left_s)

        model = response.model
        check_model(model.name, model.version, name, version)
        return model

    def _set_up(self, settings: ClientSettings) -> None:
        super()._set_up(settings)
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def _connect(self) -> Connection:
        """Returns the connection for a new call.

        The caller must keep it until the call has ended: after the addresses of the servers have
        changed, a connection is closed as soon as nothing refers to it.
        """
        target = self._resolver.current() or self._resolver.resolve()

        with self._lock:
            if self._closed:
                raise self._closed_error()
            if self._connection is None or self._connection.target != target:
                self._connection = open_connection(target, self._settings)
            return self._connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Turns what a call raises into a ClientError, also where `close` ended it."""
        try:
            with translating(self.target, tls=self._settings.tls):
                yield
        except UnreachableError:
            self._resolver.report_failure()
            if self._closed:
                raise self._closed_error() from None
            raise
        except (ClientError, ValueError):  # gRPC: ValueError if the channel was closed just now
            if self._closed:
                raise self._closed_error() from None
            raise

    def _read(
        self,
        method: str,
        request: pb.GenerateStreamRequest | pb.InterpolateRequest,
        timeout_s: float,
    ) -> Generator[Response, None, None]:
        """Sends a streaming request at once, and returns an iterator of its responses."""
        connection = self._connect()
        call: StreamCall = connection.call(method, request, timeout_s)
        return self._responses(connection, call)

    def _responses(
        self, connection: Connection, call: StreamCall
    ) -> Generator[Response, None, None]:
        try:
            with self._translating():
                yield from call
        finally:
            call.cancel()
            del connection  # which was kept until here

    def _send(self, request: pb.GenerateRequest, timeout_s: float) -> pb.GenerateResponse:
        """Sends a request, a second time if that is due, and returns the first answer."""
        connection = self._connect()
        delay_s = self._settings.hedge_after_s
        if delay_s is None:
            return connection.generate(request, timeout_s)

        return connection.generate_hedged(request, timeout_s, delay_s, self._hedge_budget)


def _read_all(
    reader: ReplyReader, responses: Generator[Response, None, None]
) -> Generator[Pixels, None, None]:
    """Yields the images of all responses, and ends the call if one of them is refused."""
    with closing(responses):
        yield from map(reader.read, responses)
    reader.finish()
