"""Admission control of one model: whether the queue takes a request, and why not."""

from __future__ import annotations

from collections.abc import Iterable

from dcgan.serving.errors import RequestError
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.errors import (
    DeadlinePassedError,
    DeadlineUnreachableError,
    QueueFullError,
)
from dcgan.serving.scheduling.throughput import ThroughputEstimate, fits_deadline
from dcgan.serving.scheduling.work_item import WorkItem
from dcgan.serving.shares import Shares, queue_room


class AdmissionControl:
    """Counts the images that wait for an engine, and decides which requests are admitted.

    Args:
        max_batch: maximum number of images in a batch.
        quantum: images that an item gets in one turn of the round robin.
        queue_limit: maximum number of images of one client that wait for an engine; of all clients,
            see `queue_room`. An empty queue admits a larger request.
        throughput: estimate for all engines together.
    """

    def __init__(
        self, *, max_batch: int, quantum: int, queue_limit: int, throughput: ThroughputEstimate
    ) -> None:
        self._max_batch = max_batch
        self._quantum = quantum
        self._queue_limit = queue_limit
        self._throughput = throughput
        self._waiting = Shares()  # images that wait
        self._limited = Shares()  # those that count against the queue limit
        self._round = Shares()  # those that one full round of the rotation makes

    @property
    def waiting_images(self) -> int:
        """Images that were admitted and not yet given to an engine."""
        return self._waiting.total

    def add(self, item: WorkItem) -> None:
        """Counts the images of an item that wait."""
        self._count(item, 1)

    def subtract(self, item: WorkItem) -> None:
        """Takes back what `add` has counted; call it before the item changes."""
        self._count(item, -1)

    def check(
        self, demand: Demand, running_images: int, large_items: Iterable[WorkItem]
    ) -> RequestError | None:
        """Decides whether a request is admitted.

        Args:
            demand: what the request needs.
            running_images: images that engines are making.
            large_items: items of more than a quantum that wait.

        Returns:
            The reason to refuse it, or None to admit it.
        """
        left_s = demand.engine_deadline - demand.arrived
        if left_s <= 0:
            return DeadlinePassedError()
        if demand.is_continuation:
            return None

        counted = min(demand.images, self._queue_limit)
        if self._limited.exceeds(queue_room(self._queue_limit), demand.peer, counted):
            excess = self._limited.total + counted - self._queue_limit
            return QueueFullError(self._queue_limit, self._throughput.retry_after_s(excess))

        # A request that fits in the next batch is admitted whatever the estimate says: its
        # measurement corrects a wrong estimate.
        if not self.waiting_images and demand.request_images <= self._max_batch:
            return None

        images = running_images + self._images_until(demand, large_items)
        needed_s = self._throughput.time_for(images)
        if fits_deadline(needed_s, left_s):
            return None
        if not self.waiting_images and not running_images:
            self._throughput.doubt()
        return DeadlineUnreachableError(needed_s + demand.reserve_s, demand.time_left_s)

    def _images_until(self, demand: Demand, large_items: Iterable[WorkItem]) -> int:
        """Returns how many images, of those that wait and its own, complete a new request."""
        images = demand.request_images
        if images <= self._quantum:
            waiting = self._round
            turn = self._quantum
        else:
            waiting = self._waiting
            turn = max((item.images for item in large_items), default=self._quantum)
        images += waiting.of_connection(demand.peer)
        return waiting.amount_until(demand.peer, images, turn)

    def _count(self, item: WorkItem, sign: int) -> None:
        peer = item.demand.peer
        images = item.undispatched
        if not images:
            return
        self._waiting.add(peer, sign * images)
        if not item.demand.is_continuation:
            self._limited.add(peer, sign * min(images, self._queue_limit))
        if item.in_rotation:
            self._round.add(peer, sign * min(images, self._quantum))
