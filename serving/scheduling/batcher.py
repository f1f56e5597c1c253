"""The queue of one model: admission control and batch formation.

The batcher is pure: it has no threads and no clock; every method that needs the time takes it as an
argument.

It counts images, not requests. A free engine gets whatever waits at once, up to the batch limit;
what arrives while the engines are busy waits for the next batch. Items are served by deficit round
robin with a quantum of images (Shreedhar and Varghese 1995), so one image beside a request for ten
thousand waits for about one batch, not for all of them. Addresses take turns, and so do the
connections of an address, so nobody waits for all that another client has asked for.

Only one large item, of more than a quantum, is in the rotation at a time; clients take turns at
that as well, and those of one follow in order of arrival. If all were in the rotation, each would
be slowed down by those that came after it, and under overload all would miss their deadlines.
"""

from __future__ import annotations

from typing import Generic

from dcgan.serving.errors import RequestError
from dcgan.serving.scheduling.batch import Batch, Slice, T
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.errors import (
    DeadlinePassedError,
    DeadlineUnreachableError,
    QueueFullError,
)
from dcgan.serving.scheduling.fair_queue import FairQueue
from dcgan.serving.scheduling.throughput import ThroughputEstimate, fits_deadline
from dcgan.serving.scheduling.work_item import WorkCounts, WorkState
from dcgan.serving.shares import Shares, queue_room


class Batcher(Generic[T]):
    """Admits work items and forms batches of them.

    Args:
        max_batch: maximum number of images in a batch.
        quantum: images that an item gets in one turn of the round robin.
        queue_limit: maximum number of images of one client that wait for an engine; of all clients,
            see `queue_room`. An empty queue admits a larger request.
        engines: number of engines that run in parallel.

    Attributes:
        counts: number of items by outcome.
        running_images: images that engines are making.
    """

    def __init__(self, *, max_batch: int, quantum: int, queue_limit: int, engines: int = 1) -> None:
        self.max_batch = max_batch
        self.quantum = quantum
        self.queue_limit = queue_limit
        self.counts = WorkCounts()
        self.running_images = 0

        self._throughput = ThroughputEstimate(engines)
        self._rotation = FairQueue[T](quantum)
        self._backlog = FairQueue[T]()  # large items outside the rotation
        self._large: T | None = None  # the one in the rotation
        self._waiting = Shares()  # images that wait
        self._limited = Shares()  # those that count against the queue limit
        self._round = Shares()  # those that one full round of the rotation makes

    @property
    def images_per_s(self) -> float | None:
        """Estimated throughput of all engines when busy; None before the first batch."""
        return self._throughput.images_per_s

    @property
    def waiting_images(self) -> int:
        """Images that were admitted and not yet given to an engine."""
        return self._waiting.total

    def admit(self, item: T) -> None:
        """Admits an item. It is not scheduled before `enqueue` is called.

        Raises:
            QueueFullError: if the queue has no room for it.
            DeadlinePassedError: if its deadline has passed.
            DeadlineUnreachableError: if its deadline cannot be met.
        """
        self.counts.offered += 1
        error = self._admission_error(item.demand)
        if error is not None:
            self.counts.rejected += 1
            raise error

        self.counts.accepted += 1
        self.counts.waiting += 1
        item.in_rotation = not self._is_large(item)
        self._count_waiting(item, 1)

    def enqueue(self, item: T) -> None:
        """Schedules an admitted item, unless it was cancelled in the meantime."""
        if item.state is not WorkState.WAITING:
            return
        queue = self._backlog if self._is_large(item) else self._rotation
        queue.push(item.demand.peer, item)
        self._promote()

    def next_batch(self, now: float) -> tuple[Batch[T] | None, list[T]]:
        """Forms the next batch for a free engine.

        Returns:
            The batch, or None if nothing waits; and the items that were found to have expired.
        """
        counts: dict[int, int] = {}
        items: dict[int, T] = {}
        expired: list[T] = []
        room = self.max_batch

        while room and self._rotation:
            item = self._rotation.first()
            key = id(item)
            if item.is_expired(now):
                self._settle(item, WorkState.EXPIRED)
                expired.append(item)
                continue

            # Give the item one turn.
            left = item.undispatched - counts.get(key, 0)
            count = min(self.quantum, room, left)
            counts[key] = counts.get(key, 0) + count
            items[key] = item
            room -= count
            self._rotation.advance(count, is_done=count == left)
            if count == left and item is self._large:
                self._large = None
                self._promote()

        if not counts:
            return None, expired
        slices = tuple(self._dispatch(items[key], count, now) for key, count in counts.items())
        return Batch(slices, self.max_batch - room, now), expired

    def finish(self, batch: Batch[T], now: float) -> list[T]:
        """Records that an engine has made a batch.

        Returns:
            The items that are complete with it.
        """
        self.running_images -= batch.images
        self._throughput.measure(batch.images, now - batch.started)

        complete = []
        for piece in batch.slices:
            item = piece.item
            item.completed += piece.count
            if item.completed == item.images and item.state is WorkState.WAITING:
                self._settle(item, WorkState.OK)
                complete.append(item)
        return complete

    def split(self, batch: Batch[T], now: float) -> tuple[list[Batch[T]], list[T]]:
        """Splits a batch on which an engine failed into halves, to find the item at fault.

        Items that were cancelled, or that have expired, are dropped from it.

        Returns:
            One or two batches, or none if no item is left; and the items that have expired.
        """
        expired = [piece.item for piece in batch.slices if piece.item.is_expired(now)]
        expired = [item for item in expired if item.state is WorkState.WAITING]
        for item in expired:
            self._settle(item, WorkState.EXPIRED)

        slices = [piece for piece in batch.slices if piece.item.state is WorkState.WAITING]
        middle = -(-len(slices) // 2)
        halves = [
            Batch(tuple(half), sum(piece.count for piece in half), now)
            for half in (slices[:middle], slices[middle:])
            if half
        ]
        self.running_images -= batch.images - sum(half.images for half in halves)
        return halves, expired

    def fail(self, batch: Batch[T]) -> list[T]:
        """Records that an engine failed on a batch.

        Returns:
            The items that failed with it.
        """
        self.running_images -= batch.images
        failed = [piece.item for piece in batch.slices if piece.item.state is WorkState.WAITING]
        for item in failed:
            self._settle(item, WorkState.FAILED)
        return failed

    def fail_waiting(self) -> list[T]:
        """Fails every item that has images which wait for an engine.

        Returns:
            The items that failed.
        """
        failed = [*self._rotation, *self._backlog]
        # In reverse order, so that no item of the backlog enters the rotation in between.
        for item in reversed(failed):
            self._settle(item, WorkState.FAILED)
        return failed

    def fail_item(self, item: T) -> None:
        """Fails an item for which there is no input."""
        if item.state is WorkState.WAITING:
            self._settle(item, WorkState.FAILED)

    def cancel(self, item: T, now: float) -> None:
        """Drops an item that has no client any more. After its deadline it counts as expired."""
        if item.state is WorkState.WAITING:
            state = WorkState.EXPIRED if item.is_expired(now) else WorkState.CANCELLED
            self._settle(item, state)

    def _admission_error(self, demand: Demand) -> RequestError | None:
        left_s = demand.engine_deadline - demand.arrived
        if left_s <= 0:
            return DeadlinePassedError()
        if demand.is_continuation:
            return None

        counted = min(demand.images, self.queue_limit)
        if self._limited.exceeds(queue_room(self.queue_limit), demand.peer, counted):
            excess = self._limited.total + counted - self.queue_limit
            return QueueFullError(self.queue_limit, self._throughput.retry_after_s(excess))

        # A request that fits in the next batch is admitted whatever the estimate says: its
        # measurement corrects a wrong estimate.
        if not self.waiting_images and demand.request_images <= self.max_batch:
            return None

        needed_s = self._throughput.time_for(self._images_until(demand))
        if fits_deadline(needed_s, left_s):
            return None
        if not self.waiting_images and not self.running_images:
            self._throughput.doubt()
        return DeadlineUnreachableError(needed_s + demand.reserve_s, demand.time_left_s)

    def _images_until(self, demand: Demand) -> int:
        """Returns how many images are made until the last one of a new request."""
        images = demand.request_images
        if images <= self.quantum:
            waiting = self._round
            turn = self.quantum
        else:
            waiting = self._waiting
            large = [*self._backlog, *([self._large] if self._large else [])]
            turn = max((item.images for item in large), default=self.quantum)
        images += waiting.of_connection(demand.peer)
        return self.running_images + waiting.amount_until(demand.peer, images, turn)

    def _is_large(self, item: T) -> bool:
        return item.images > self.quantum

    def _promote(self) -> None:
        """Moves the next large item from the backlog into the rotation when there is room."""
        if self._large is None and self._backlog:
            item = self._backlog.pop()
            self._large = item
            item.in_rotation = True
            self._round.add(item.demand.peer, min(item.undispatched, self.quantum))
            self._rotation.push(item.demand.peer, item)

    def _leave(self, item: T) -> None:
        """Removes an item from the rotation or the backlog, if it is there."""
        peer = item.demand.peer
        if not self._rotation.remove(peer, item):
            self._backlog.remove(peer, item)
        if item is self._large:
            self._large = None
            self._promote()

    def _dispatch(self, item: T, count: int, now: float) -> Slice[T]:
        piece = Slice(item, item.dispatched, count)

        self._count_waiting(item, -1)
        item.dispatched += count
        self._count_waiting(item, 1)

        item.started = min(item.started, now)
        self.running_images += count
        return piece

    def _settle(self, item: T, state: WorkState) -> None:
        self._leave(item)
        self._count_waiting(item, -1)

        item.state = state
        self.counts.waiting -= 1
        self.counts.settled[state] += 1

    def _count_waiting(self, item: T, sign: int) -> None:
        """Adds the images of an item that wait to the sums, or subtracts them."""
        peer = item.demand.peer
        images = item.undispatched
        if not images:
            return
        self._waiting.add(peer, sign * images)
        if not item.demand.is_continuation:
            self._limited.add(peer, sign * min(images, self.queue_limit))
        if item.in_rotation:
            self._round.add(peer, sign * min(images, self.quantum))
