"""The queue of one model: which images run next.

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

from collections.abc import Iterator
from typing import Generic

from dcgan.serving.scheduling.admission import AdmissionControl
from dcgan.serving.scheduling.batch import Batch, Slice, T
from dcgan.serving.scheduling.fair_queue import FairQueue
from dcgan.serving.scheduling.throughput import ThroughputEstimate
from dcgan.serving.scheduling.work_item import WorkCounts, WorkState


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
        self._admission = AdmissionControl(
            max_batch=max_batch,
            quantum=quantum,
            queue_limit=queue_limit,
            throughput=self._throughput,
        )
        self._rotation = FairQueue[T](quantum)
        self._backlog = FairQueue[T]()  # large items outside the rotation
        self._large: T | None = None  # the one in the rotation

    @property
    def images_per_s(self) -> float | None:
        """Estimated throughput of all engines when busy; None before the first batch."""
        return self._throughput.images_per_s

    @property
    def waiting_images(self) -> int:
        """Images that were admitted and not yet given to an engine."""
        return self._admission.waiting_images

    def admit(self, item: T) -> None:
        """Admits an item. It is not scheduled before `enqueue` is called.

        Raises:
            QueueFullError: if the queue has no room for it.
            DeadlinePassedError: if its deadline has passed.
            DeadlineUnreachableError: if its deadline cannot be met.
        """
        self.counts.offered += 1
        error = self._admission.check(item.demand, self.running_images, self._large_items())
        if error is not None:
            self.counts.rejected += 1
            raise error

        self.counts.accepted += 1
        self.counts.waiting += 1
        item.in_rotation = not self._is_large(item)
        self._admission.add(item)

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

    def _large_items(self) -> Iterator[T]:
        yield from self._backlog
        if self._large is not None:
            yield self._large

    def _is_large(self, item: T) -> bool:
        return item.images > self.quantum

    def _promote(self) -> None:
        """Moves the next large item from the backlog into the rotation when there is room."""
        if self._large is None and self._backlog:
            item = self._backlog.pop()
            self._large = item
            self._admission.subtract(item)
            item.in_rotation = True
            self._admission.add(item)
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

        self._admission.subtract(item)
        item.dispatched += count
        self._admission.add(item)

        item.started = min(item.started, now)
        self.running_images += count
        return piece

    def _settle(self, item: T, state: WorkState) -> None:
        self._leave(item)
        self._admission.subtract(item)

        item.state = state
        self.counts.waiting -= 1
        self.counts.settled[state] += 1
