"""An independent model of the batcher, for random schedules.

It tracks every image separately, keeps no sums, and derives everything from the whole history: the
state of each request, the images of each batch, and the counts.
"""

import math
from dataclasses import dataclass, field

from dcgan.serving.scheduling.work_item import WorkState

WAITING, RUNNING, MADE = "waiting", "running", "made"


@dataclass(eq=False)
class Asked:
    """A request as the model sees it: what was asked for, and where each of its images is."""

    n: int
    deadline: float
    more: bool
    large: bool
    images: list[str] = field(default_factory=list)
    state: WorkState = WorkState.WAITING

    def left(self) -> int:
        return self.images.count(WAITING) if self.state is WorkState.WAITING else 0


@dataclass
class Model:
    """The rules, written as plainly as can be."""

    max_batch: int
    quantum: int
    limit: int
    engines: int
    asked: list[Asked] = field(default_factory=list)
    line: list[Asked] = field(default_factory=list)  # those that take turns, the next first
    later: list[Asked] = field(default_factory=list)
    refused: int = 0
    running: dict[int, tuple[list[tuple[Asked, int]], float]] = field(
        default_factory=dict
    )  # batches, by number
    history: list[tuple[int, float]] = field(
        default_factory=list
    )  # images and seconds of batches that were made

    def rate(self) -> float | None:
        images = seconds = 0.0
        for more_images, took in self.history:
            longest = 4 * more_images * seconds / images if images else math.inf
            if took > 0:
                images, seconds = 0.9 * images + more_images, 0.9 * seconds + min(took, longest)
        return self.engines * images / seconds if seconds else None

    def refusal(self, n: int, now: float, deadline: float, more: bool) -> str | None:
        waiting = sum(each.left() for each in self.asked)
        counted = sum(each.left() for each in self.asked if not each.more)
        at_work = sum(len(pieces) for pieces, _ in self.running.values())
        rate = self.rate()

        if deadline <= now:
            return "DEADLINE_PASSED"
        if more:
            return None
        if counted and counted + n > self.limit:
            return "QUEUE_FULL"
        if rate is None or (waiting == 0 and n <= self.max_batch):
            return None
        turns = [each for each in self.asked if not each.large or each in self.line]
        ahead = (
            sum(min(each.left(), self.quantum) for each in turns) if n <= self.quantum else waiting
        )
        needed = (at_work + ahead + n) / rate
        return "DEADLINE_UNREACHABLE" if needed > 0.8 * (deadline - now) else None

    def take(self, number: int, now: float) -> tuple[list[tuple[Asked, int]], list[Asked]]:
        pieces: list[tuple[Asked, int]] = []
        expired: list[Asked] = []

        while self.line and len(pieces) < self.max_batch:
            asked = self.line.pop(0)
            if asked.deadline <= now:
                asked.state = WorkState.EXPIRED
                expired.append(asked)
                self.promote()
                continue
            free = [i for i, place in enumerate(asked.images) if place == WAITING]
            turn = free[: min(self.quantum, self.max_batch - len(pieces))]
            for i in turn:
                asked.images[i] = RUNNING
                pieces.append((asked, i))
            if len(turn) < len(free):
                self.line.append(asked)
            self.promote()
        if pieces:
            self.running[number] = (pieces, now)
        return pieces, expired

    def finish(self, number: int, now: float) -> list[Asked]:
        pieces, began = self.running.pop(number)
        self.history.append((len(pieces), now - began))
        for asked, i in pieces:
            asked.images[i] = MADE
        done = [
            each
            for each in self.asked
            if each.state is WorkState.WAITING and set(each.images) == {MADE}
        ]
        return self.settle(done, WorkState.OK)

    def fail(self, number: int) -> list[Asked]:
        pieces, _ = self.running.pop(number)
        return self.settle(
            list({id(asked): asked for asked, _ in pieces}.values()), WorkState.FAILED
        )

    def split(self, number: int, numbers: list[int], now: float) -> list[Asked]:
        """Replaces a batch by its halves, by request; returns the requests that have expired."""
        pieces, _ = self.running.pop(number)
        requests = list({id(asked): asked for asked, _ in pieces}.values())
        expired = self.settle(
            [each for each in requests if each.deadline <= now], WorkState.EXPIRED
        )
        kept = [each for each in requests if each.state is WorkState.WAITING]
        middle = (len(kept) + 1) // 2

        for half, name in zip((kept[:middle], kept[middle:]), numbers, strict=True):
            if half:
                mine = [(asked, i) for asked, i in pieces if any(asked is each for each in half)]
                self.running[name] = (mine, now)
        return expired

    def settle(self, some: list[Asked], state: WorkState) -> list[Asked]:
        some = [asked for asked in some if asked.state is WorkState.WAITING]
        for asked in some:
            asked.state = state
            self.line = [other for other in self.line if other is not asked]
            self.later = [other for other in self.later if other is not asked]
        self.promote()
        return some

    def enqueue(self, asked: Asked) -> None:
        if asked.state is WorkState.WAITING:
            (self.later if asked.large else self.line).append(asked)
            self.promote()

    def promote(self) -> None:
        """One large request at a time takes turns with the small ones."""
        if self.later and not any(asked.large for asked in self.line):
            self.line.append(self.later.pop(0))
