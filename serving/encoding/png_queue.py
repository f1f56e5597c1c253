"""PNG replies: written beside the event loop, by threads with a queue of their own.

To compress an image can take longer than to make it, so what the batcher does for the engines is done here, too: no
more is taken on than the queue may hold and the deadline allows, and a large request is cut up, so that a small one
does not wait for all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from dcgan.core.images import Pixels
from dcgan.serving.api import errors
from dcgan.serving.encoding.codec import Codec, Reply
from dcgan.serving.scheduling.rate import Rate, can_promise
from dcgan.v1 import generator_pb2 as pb

_THREADS = 2
_TURN = 16  # images that are written at once, unless they are one picture

PNG_FORMATS = frozenset({pb.IMAGE_FORMAT_PNG, pb.IMAGE_FORMAT_PNG_GRID})


@dataclass(eq=False, slots=True)
class Place:
    """A request's place in the queue.

    Attributes:
        left: images that are not written yet.
        turn: most of them that are written at once.
        own_s: time that writing all of them is expected to take, once they are made and nobody is ahead.
        more: whether they belong to a request that was accepted before, and so do not count against the limit.
    """

    left: int
    turn: int
    own_s: float
    more: bool


class Encoder:
    """Writes the PNG replies of one model.

    Args:
        codec: of the model.
        queue_limit: most images that may be waiting, from the moment that their request is accepted; a single request
            that is larger waits alone.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, codec: Codec, queue_limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._codec = codec
        self._queue_limit = queue_limit
        self._clock = clock
        self._rate = Rate(_THREADS)
        self._places: set[Place] = set()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="encode")

    def waiting_images(self) -> int:
        """Images that were accepted and are not written yet, made or not."""
        return sum(
            place.left for place in tuple(self._places)
        )  # a copy: the thread of the metrics calls this, too

    @contextmanager
    def admit(
        self,
        n: int,
        image_format: pb.ImageFormat,
        left_s: float | None = None,
        *,
        more: bool = False,
        whole: int = 0,
    ) -> Iterator[Place]:
        """Takes on n images for as long as the block lasts.

        Args:
            n: number of images.
            image_format: one of PNG_FORMATS.
            left_s: time until nobody wants them any more.
            more: whether they belong to a request that was accepted before.
            whole: images of the whole request, if it has more than these.

        Raises:
            Refusal: if the queue is full, or the deadline cannot be met.
        """
        turn = n if image_format == pb.IMAGE_FORMAT_PNG_GRID else min(n, _TURN)
        place = Place(n, turn, self._own_s(n), more)
        if not more:
            self._check(place, max(n, whole), left_s)
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.remove(place)

    async def encode(
        self,
        place: Place,
        reply: Reply,
        offset: int,
        parts: Sequence[Pixels],
        image_format: pb.ImageFormat,
    ) -> bytes:
        """A serialised reply with PNG files: one for each image, or one of all.

        Args:
            place: in the queue.
            reply: kind of message.
            offset: index of the first image.
            parts: uint8 [k, H, W, C], in order.
            image_format: one of PNG_FORMATS.
        """
        grid = image_format == pb.IMAGE_FORMAT_PNG_GRID
        turns = (
            [parts]
            if grid
            else [[part[i : i + _TURN]] for part in parts for i in range(0, len(part), _TURN)]
        )
        files = []
        for turn in turns:
            written, seconds = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._write, turn, grid
            )
            files.append(written)
            count = sum(map(len, turn))
            place.left -= count
            self._rate.measure(count, seconds)
        return self._codec.join_files(reply, offset, sum(map(len, parts)), files)

    def _own_s(self, n: int) -> float:
        """Time to write n images of one request: one thread at a time does."""
        return self._rate.time_for(_THREADS * n)

    def _write(self, images: Sequence[Pixels], grid: bool) -> tuple[bytes, float]:
        began = self._clock()
        return self._codec.encode_files(images, grid=grid), self._clock() - began

    def _check(self, place: Place, whole: int, left_s: float | None) -> None:
        limited = sum(each.left for each in self._places if not each.more)
        excess = limited + place.left - self._queue_limit
        if limited and excess > 0:
            raise errors.queue_full(self._queue_limit, self._rate.retry_s(excess))
        # Each request has one turn in the queue at a time, so a small one is behind no more than that of each.
        ahead = sum(
            min(each.left, each.turn) if whole <= _TURN else each.left for each in self._places
        )
        needed = max(self._rate.time_for(ahead + whole), self._own_s(whole))
        if left_s is not None and not can_promise(needed, left_s):
            raise errors.deadline_unreachable(needed, left_s)
