"""The PNG queue: encodes images as PNG on threads outside the event loop.

Compressing an image can take longer than making it, so the rules of the batcher hold here as well:
a request is refused if the queue is full or its deadline cannot be met, large requests are split,
so that small ones do not wait for all of a large one, and clients take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from dcgan.core.images import Pixels, encode_png, tile
from dcgan.serving.encoding.fair_pool import FairPool
from dcgan.serving.peer import Peer
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.errors import DeadlineUnreachableError, QueueFullError
from dcgan.serving.scheduling.throughput import ThroughputEstimate, fits_deadline
from dcgan.serving.shares import Shares, queue_room

_THREADS = 2
_IMAGES_PER_TASK = 16  # images that one thread encodes at a time; a grid is always one task


@dataclass(eq=False, slots=True)
class PngReservation:
    """The place of a request in the PNG queue.

    Attributes:
        peer: client of the request.
        images_left: number of images that are not encoded yet.
        task_images: number of images in one task.
        encode_s: estimated time to encode all of them once they are made, if nothing else is in the
            queue.
        is_grid: whether all images go into one picture.
        is_continuation: whether the request was admitted before, so that it does not count against
            the limit.
    """

    peer: Peer
    images_left: int
    task_images: int
    encode_s: float
    is_grid: bool
    is_continuation: bool

    @property
    def next_task_images(self) -> int:
        """Number of images in its next task."""
        return min(self.images_left, self.task_images)

    @property
    def is_long(self) -> bool:
        """Whether one task of it takes longer than those into which requests are split."""
        return self.task_images > _IMAGES_PER_TASK


class PngQueue:
    """Encodes the images of one model.

    Args:
        queue_limit: maximum number of images of one client in the queue, counted from the admission
            of their request; of all clients, see `queue_room`. An empty queue admits a larger
            request.
        clock: monotonic, in seconds; measures the throughput.
    """

    def __init__(self, queue_limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue_limit = queue_limit
        self._clock = clock
        self._throughput = ThroughputEstimate(_THREADS)
        self._reservations: set[PngReservation] = set()
        self._pool = FairPool(_THREADS, "encode")

    def waiting_images(self) -> int:
        """Returns how many admitted images are not encoded yet, whether they are made or not."""
        # Copy the set: the thread of the metrics server calls this as well.
        return sum(reservation.images_left for reservation in tuple(self._reservations))

    @contextmanager
    def reserve(self, demand: Demand, *, is_grid: bool) -> Iterator[PngReservation]:
        """Admits a request, which stays in the queue for as long as the block lasts.

        Args:
            demand: what the request needs.
            is_grid: whether all images go into one picture.

        Raises:
            QueueFullError: if the queue has no room for it.
            DeadlineUnreachableError: if its deadline cannot be met.
        """
        images = demand.images
        reservation = PngReservation(
            peer=demand.peer,
            images_left=images,
            task_images=images if is_grid else min(images, _IMAGES_PER_TASK),
            encode_s=self._encode_s(images),
            is_grid=is_grid,
            is_continuation=demand.is_continuation,
        )
        if not demand.is_continuation:
            self._check_admission(demand)

        self._reservations.add(reservation)
        try:
            yield reservation
        finally:
            self._reservations.remove(reservation)

    async def encode(self, reservation: PngReservation, parts: Sequence[Pixels]) -> list[bytes]:
        """Encodes the images of a request.

        Args:
            reservation: of the request.
            parts: the images, uint8 [k, H, W, C] each, in order.

        Returns:
            The PNG files: one per image, or one of all.
        """
        files: list[bytes] = []
        for task in _split(parts, reservation):
            encoded, seconds = await self._pool.run(
                reservation.peer,
                partial(self._encode_task, task, reservation.is_grid),
                is_long=reservation.is_long,
            )
            files += encoded

            images = sum(map(len, task))
            reservation.images_left -= images
            self._throughput.measure(images, seconds)

        return files

    async def write(
        self,
        reservation: PngReservation,
        parts: Sequence[Pixels],
        write: Callable[[Pixels], bytes],
    ) -> bytes:
        """Writes all images of a request into one file of any format.

        Args:
            reservation: of the request; it counts as many images as writing the file takes time.
            parts: the images, uint8 [k, H, W, C] each, in order.
            write: turns the images, uint8 [n, H, W, C], into the file; called on a thread.
        """

        def write_timed() -> tuple[bytes, float]:
            began = self._clock()
            images = parts[0] if len(parts) == 1 else np.concatenate(parts)
            return write(images), self._clock() - began

        file, seconds = await self._pool.run(
            reservation.peer, write_timed, is_long=reservation.is_long
        )
        self._throughput.measure(reservation.images_left, seconds)
        reservation.images_left = 0
        return file

    def _encode_s(self, images: int) -> float:
        """Returns the estimated time to encode one request, which occupies one thread at a time."""
        return self._throughput.time_for(_THREADS * images)

    def _encode_task(self, parts: Sequence[Pixels], is_grid: bool) -> tuple[list[bytes], float]:
        began = self._clock()
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)
        files = [encode_png(tile(images))] if is_grid else [encode_png(image) for image in images]
        return files, self._clock() - began

    def _check_admission(self, demand: Demand) -> None:
        limited = Shares()
        for each in self._reservations:
            if not each.is_continuation:
                limited.add(each.peer, min(each.images_left, self._queue_limit))
        counted = min(demand.images, self._queue_limit)
        if limited.exceeds(queue_room(self._queue_limit), demand.peer, counted):
            excess = limited.total + counted - self._queue_limit
            raise QueueFullError(self._queue_limit, self._throughput.retry_after_s(excess))

        images = demand.request_images
        needed_s = max(
            self._throughput.time_for(self._images_until(demand.peer, images)),
            self._encode_s(images),
        )
        if not fits_deadline(needed_s, demand.time_left_s):
            if not self._reservations:
                self._throughput.doubt()
            raise DeadlineUnreachableError(needed_s, demand.time_left_s)

    def _images_until(self, peer: Peer, images: int) -> int:
        """Returns how many images are encoded until the last one of a new request."""
        waiting = Shares()
        turn = _IMAGES_PER_TASK
        for each in self._reservations:
            if images > _IMAGES_PER_TASK:
                waiting.add(each.peer, each.images_left)
                turn = max(turn, each.next_task_images)
            elif not each.is_long:
                # Each request has one task in the pool at a time, and long ones do not keep it.
                waiting.add(each.peer, each.next_task_images)
        return waiting.amount_until(peer, waiting.of_connection(peer) + images, turn)


def _split(parts: Sequence[Pixels], reservation: PngReservation) -> list[list[Pixels]]:
    """Splits the images of a request into tasks for the pool."""
    if reservation.is_grid:
        return [list(parts)]
    return [
        [part[start : start + _IMAGES_PER_TASK]]
        for part in parts
        for start in range(0, len(part), _IMAGES_PER_TASK)
    ]
