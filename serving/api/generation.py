"""Image generation behind every protocol: admission, scheduling, streaming and PNG encoding.

This module depends on neither gRPC nor HTTP. A protocol validates its request, calls `generate` or
`stream`, writes the result in its own way, and maps the errors to its status codes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from dcgan.core.images import Pixels
from dcgan.serving.api.errors import DrainingError, LoadingError
from dcgan.serving.api.generated_images import GeneratedImages, from_cache
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.requests import ImageRequest
from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.encoding.png_queue import PngReservation
from dcgan.serving.encoding.response_cache import ResponseCache
from dcgan.serving.errors import RequestError
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.peer import Peer
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.image_job import Images

# Chunks of a stream in the making: one on the engine and one behind it. This bounds what a slow
# reader holds.
_CHUNKS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class _PendingChunk:
    """A chunk of a stream that is being made.

    Attributes:
        start: position of its first image in the request.
        count: number of images.
        images: future of the images; None if their files were in the cache.
        reservation: in the PNG queue; None if the request is for pixels.
        resources: cancels what is not made yet and releases the reservation when it is closed.
        tags: entity tags of its images as PNG files; none if there is no cache for them.
        files: from the cache; None if they were not in it.
    """

    start: int
    count: int
    images: asyncio.Future[Images] | None
    reservation: PngReservation | None
    resources: ExitStack
    tags: Sequence[str] = ()
    files: list[bytes] | None = None


class Generation:
    """Generates images for requests of any protocol.

    Before `open` and after `close` it refuses all requests.

    Args:
        in_flight: calls in flight, of all protocols; None for one with the usual limits.
        cache: of encoded images; None to keep nothing.
        clock: monotonic, in seconds; the one of the dispatchers.

    Attributes:
        in_flight: calls in flight, of all protocols.
        cache: of encoded images, of all protocols.
    """

    def __init__(
        self,
        in_flight: InFlight | None = None,
        cache: ResponseCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.in_flight = in_flight or InFlight()
        self.cache = cache or ResponseCache()
        self._clock = clock
        self._registry: ModelRegistry | None = None
        self._closed_with: Callable[[], RequestError] = LoadingError

    @property
    def registry(self) -> ModelRegistry:
        """The models.

        Raises:
            RequestError: if requests are refused at the moment.
        """
        if self._registry is None:
            raise self._closed_with()
        return self._registry

    def open(self, registry: ModelRegistry) -> None:
        """Admits requests for these models from now on."""
        self._registry = registry

    def close(self, error: Callable[[], RequestError] = DrainingError) -> None:
        """Refuses new requests from now on; admitted ones are finished.

        Args:
            error: creates the error that new requests get.
        """
        self._registry = None
        self._closed_with = error

    async def generate(self, request: ImageRequest, deadline: float, peer: Peer) -> GeneratedImages:
        """Makes all images of a request.

        Args:
            request: validated request.
            deadline: of the client, on the monotonic clock; infinity if there is none.
            peer: the client.

        Raises:
            RequestError: if the request is refused or its deadline passes.
            EngineError: if an engine fails.
        """
        count = request.images
        demand = self._demand(request, deadline, peer, 0, count, is_first=True)
        if request.image_format.is_png:
            return await self._finish_chunk(request, self._begin_chunk(request, demand, 0))

        # Pixels need no reservation, and so take a shorter way than a chunk.
        draw = partial(request.draw, 0, count)
        images = await request.model.dispatcher.submit(demand, draw)
        return GeneratedImages(0, count, images)

    async def generate_file(
        self,
        request: ImageRequest,
        deadline: float,
        peer: Peer,
        write: Callable[[Pixels], bytes],
        cost: int,
    ) -> bytes:
        """Makes all images of a request and writes them into one file of any format.

        Args:
            request: validated request for pixels.
            deadline: of the client, on the monotonic clock; infinity if there is none.
            peer: the client.
            write: turns the images, uint8 [n, H, W, C], into the file; called on a thread.
            cost: number of PNG images that take as long to write as the file.

        Raises:
            RequestError: if the request is refused or its deadline passes.
            EngineError: if an engine fails.
        """
        model = request.model
        demand = self._demand(request, deadline, peer, 0, request.images, is_first=True)
        writing = replace(demand, images=cost, request_images=cost)
        with model.png_queue.reserve(writing, is_grid=True) as reservation:
            demand = replace(demand, reserve_s=reservation.encode_s)
            draw = partial(request.draw, 0, request.images)
            images = await model.dispatcher.submit(demand, draw)
            return await model.png_queue.write(reservation, images.parts, write)

    async def stream(
        self, request: ImageRequest, deadline: float, peer: Peer
    ) -> AsyncGenerator[GeneratedImages, None]:
        """Makes the images of a request in chunks, in order.

        Close the generator when the client leaves, so that the chunks in the making are dropped.

        Args:
            request: validated request.
            deadline: of the client, on the monotonic clock; infinity if there is none.
            peer: the client.

        Raises:
            RequestError: if the request is refused or its deadline passes.
            EngineError: if an engine fails.
        """
        replies = request.model.replies
        size = min(replies.chunk_images, replies.max_images(request.image_format))
        starts = iter(range(0, request.images, size))
        pending: deque[_PendingChunk] = deque()
        is_first = True
        try:
            while True:
                # Keep the engines busy with the next chunks while this one is encoded and written.
                for start in islice(starts, _CHUNKS_AHEAD - len(pending)):
                    count = min(size, request.images - start)
                    demand = self._demand(request, deadline, peer, start, count, is_first=is_first)
                    chunk = self._begin_chunk(request, demand, start)
                    is_first = is_first and chunk.images is None
                    pending.append(chunk)
                    del chunk
                if not pending:
                    return

                # Keep no reference to the images while the client reads.
                yield await self._finish_chunk(request, pending.popleft())
        finally:
            for chunk in pending:
                chunk.resources.close()

    def _tags(self, request: ImageRequest, start: int, count: int) -> list[str]:
        """Returns the entity tag of each image as a PNG file; none if they are not cached."""
        if request.image_format is not ImageFormat.PNG or request.image_tag is None:
            return []
        if not self.cache.is_enabled:
            return []
        return [request.image_tag(position) for position in range(start, start + count)]

    def _demand(
        self,
        request: ImageRequest,
        deadline: float,
        peer: Peer,
        start: int,
        count: int,
        *,
        is_first: bool,
    ) -> Demand:
        """Returns the demand of a chunk; that of the first one covers the whole request."""
        return Demand(
            images=count,
            request_images=request.images - start if is_first else count,
            arrived=self._clock(),
            deadline=deadline,
            peer=peer,
            is_continuation=not is_first,
        )

    def _begin_chunk(self, request: ImageRequest, demand: Demand, start: int) -> _PendingChunk:
        """Submits a chunk, with a reservation in the PNG queue if it needs one.

        A chunk whose files are in the cache needs neither.
        """
        count = demand.images
        tags = self._tags(request, start, count)
        if tags and (files := self.cache.find_all(tags)) is not None:
            return _PendingChunk(start, count, None, None, ExitStack(), files=files)

        model = request.model
        reservation = None
        with ExitStack() as resources:
            if request.image_format.is_png:
                is_grid = request.image_format is ImageFormat.PNG_GRID
                reservation = resources.enter_context(
                    model.png_queue.reserve(demand, is_grid=is_grid)
                )
                demand = replace(demand, reserve_s=reservation.encode_s)

            images = model.dispatcher.submit(demand, partial(request.draw, start, count))
            resources.callback(images.cancel)
            return _PendingChunk(start, count, images, reservation, resources.pop_all(), tags)

    async def _finish_chunk(self, request: ImageRequest, chunk: _PendingChunk) -> GeneratedImages:
        """Waits for the images of a chunk, and encodes them unless the request is for pixels."""
        if chunk.images is None:
            return from_cache(chunk.start, chunk.count, chunk.files)

        with chunk.resources:
            images = await chunk.images
            if chunk.reservation is None:
                return GeneratedImages(chunk.start, chunk.count, images)

            began = time.perf_counter()
            files = await request.model.png_queue.encode(chunk.reservation, images.parts)
            png_s = time.perf_counter() - began

        self.cache.add_all(chunk.tags, files)
        return GeneratedImages(chunk.start, chunk.count, images, files, png_s)
