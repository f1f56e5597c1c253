"""The batcher under a simulated clock: thousands of random schedules against an independent model
of it, and overload.

The model knows every image by itself, keeps no sums, and finds everything anew by looking through
all that ever happened. It says what must become of each request, which images each batch holds, and
what the counts are.
"""

import math
import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from dcgan.serving.errors import RequestError
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.work_item import WorkItem, WorkState

WAITING, RUNNING, MADE = "waiting", "running", "made"
EVENTS = (
    ["put"] * 6
    + ["take"] * 5
    + ["finish"] * 4
    + ["cancel", "draw", "fail", "split", "fail waiting"]
)


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


class Play:
    """One schedule, played to the batcher and to the model alike."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        sizes = (
            source.choice([1, 4, 16]),
            source.choice([1, 3, 8]),
            source.choice([10, 100]),
            source.choice([1, 1, 2]),
        )
        self.model = Model(*sizes)
        self.batcher: Batcher[WorkItem] = Batcher(
            max_batch=sizes[0], quantum=sizes[1], queue_limit=sizes[2], engines=sizes[3]
        )
        self.pairs: list[tuple[WorkItem, Asked]] = []
        self.drawing: list[tuple[WorkItem, Asked]] = []  # accepted, and not yet in line
        self.batches: dict[int, object] = {}
        self.now = 0.0
        self.number = 0

    def step(self, event: str) -> None:
        if event == "put":
            self.put()
        elif event == "draw" and self.drawing:
            self.enqueue(*self.drawing.pop(self.source.randrange(len(self.drawing))))
        elif event == "cancel" and self.pairs:
            item, asked = self.source.choice(self.pairs)
            self.batcher.cancel(item, self.now)
            self.model.settle(
                [asked], WorkState.EXPIRED if asked.deadline <= self.now else WorkState.CANCELLED
            )
        elif event == "take" and len(self.batches) < self.model.engines:
            self.take()
        elif event == "finish" and self.batches:
            number = self.source.choice(list(self.batches))
            self.compare(
                self.batcher.finish(self.batches.pop(number), self.now),
                self.model.finish(number, self.now),
            )
        elif event == "fail" and self.batches:
            number = self.source.choice(list(self.batches))
            self.compare(self.batcher.fail(self.batches.pop(number)), self.model.fail(number))
        elif event == "split" and self.batches:
            self.split(self.source.choice(list(self.batches)))
        elif event == "fail waiting" and self.source.random() < 0.2:
            self.compare(
                self.batcher.fail_waiting(),
                self.model.settle([*self.model.line, *self.model.later], WorkState.FAILED),
            )

        self.check()

    def put(self) -> None:
        n, more = self.source.choice([1, 1, 2, 7, 40]), self.source.random() < 0.1
        deadline = self.now + self.source.choice([0.0, 0.05, 0.5, 5.0, math.inf])
        item, asked = (
            WorkItem(
                demand=Demand(
                    images=n,
                    request_images=n,
                    arrived=self.now,
                    deadline=deadline,
                    is_continuation=more,
                )
            ),
            Asked(n, deadline, more, n > self.model.quantum),
        )
        expected = self.model.refusal(n, self.now, deadline, more)
        try:
            self.batcher.admit(item)
        except RequestError as refusal:
            assert refusal.reason == expected
            self.model.refused += 1
            return

        assert expected is None
        asked.images = [WAITING] * n
        self.model.asked.append(asked)
        self.pairs.append((item, asked))
        if self.source.random() < 0.2:
            self.drawing.append((item, asked))
        else:
            self.enqueue(item, asked)

    def enqueue(self, item: WorkItem, asked: Asked) -> None:
        self.batcher.enqueue(item)
        self.model.enqueue(asked)

    def take(self) -> None:
        self.number += 1
        batch, expired = self.batcher.next_batch(self.now)
        pieces, expected = self.model.take(self.number, self.now)
        self.compare(expired, expected)
        slices = () if batch is None else batch.slices
        given = [
            (self.asked(piece.item), piece.start + i)
            for piece in slices
            for i in range(piece.count)
        ]

        assert sorted(given, key=self.order) == sorted(pieces, key=self.order)
        if batch is not None:
            assert batch.images == len(pieces)
            self.batches[self.number] = batch

    def split(self, number: int) -> None:
        numbers = [self.number + 1, self.number + 2]
        self.number += 2
        halves, expired = self.batcher.split(self.batches.pop(number), self.now)
        self.compare(expired, self.model.split(number, numbers, self.now))

        for half in halves:
            given = [
                (self.asked(piece.item), piece.start + i)
                for piece in half.slices
                for i in range(piece.count)
            ]
            name = next(
                name
                for name in numbers
                if sorted(self.model.running.get(name, ([], 0))[0], key=self.order)
                == sorted(given, key=self.order)
            )
            assert half.images == len(given)
            numbers.remove(name)
            self.batches[name] = half

    def check(self) -> None:
        """What became of every request, and that nothing is lost or counted twice."""
        states = [asked.state for _, asked in self.pairs]
        assert [item.state for item, _ in self.pairs] == states
        counts, batcher = self.batcher.counts, self.batcher

        assert (counts.accepted, counts.rejected) == (len(states), self.model.refused)
        assert counts.offered == counts.accepted + counts.rejected
        assert counts.waiting == states.count(WorkState.WAITING)
        assert counts.settled == {
            state: states.count(state) for state in WorkState if state is not WorkState.WAITING
        }
        assert counts.accepted == counts.waiting + sum(counts.settled.values())
        assert batcher.waiting_images == sum(asked.left() for _, asked in self.pairs)
        assert batcher.running_images == sum(
            len(pieces) for pieces, _ in self.model.running.values()
        )
        assert batcher.images_per_s == pytest.approx(self.model.rate())

    def compare(self, items: list[WorkItem], expected: list[Asked]) -> None:
        assert {self.order((self.asked(item), 0)) for item in items} == {
            self.order((a, 0)) for a in expected
        }

    def asked(self, item: WorkItem) -> Asked:
        return next(asked for each, asked in self.pairs if each is item)

    def order(self, piece: tuple[Asked, int]) -> tuple[int, int]:
        return next(i for i, (_, asked) in enumerate(self.pairs) if asked is piece[0]), piece[1]


@pytest.mark.parametrize("seed", range(20))
def test_random_schedules_agree_with_the_model(seed):
    source = random.Random(seed)
    for _ in range(150):
        play = Play(source)
        for _ in range(60):
            play.now += source.expovariate(10)
            play.step(source.choice(EVENTS))
        while play.drawing or play.batches or play.model.line:
            play.now += 0.1
            for event in ("draw", "take", "finish"):
                play.step(event)

        assert (
            play.batcher.waiting_images,
            play.batcher.running_images,
            play.batcher.counts.waiting,
        ) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2, 5])
@pytest.mark.parametrize("sizes", [(1,), (16,), (32,), (64,), (341,), (1,) * 20 + (64, 64, 341)])
def test_however_much_is_asked_for_engines_work_on_what_will_be_in_time(sizes, factor):
    """Two engines, 1,500 images a second together, requests with a deadline of a second."""
    source, engines, rate, seconds = random.Random(0), 2, 1500, 20
    batcher = Batcher(max_batch=16, quantum=16, queue_limit=4096, engines=engines)
    due, now, good, running = 0.0, 0.0, 0, []
    while now < seconds:
        moment = min([due, *(end for end, _ in running)])
        now = moment
        if moment == due:
            n = source.choice(sizes)
            item = WorkItem(
                demand=Demand(images=n, request_images=n, arrived=now, deadline=now + 1.0)
            )
            with suppress(RequestError):
                batcher.admit(item)
                batcher.enqueue(item)
            due += source.expovariate(factor * rate * len(sizes) / sum(sizes))
        else:
            ended = min(running, key=lambda pair: pair[0])
            running.remove(ended)
            good += sum(
                item.images for item in batcher.finish(ended[1], now) if now <= item.demand.deadline
            )
        while len(running) < engines and (batch := batcher.next_batch(now)[0]) is not None:
            running.append((now + batch.images * engines / rate, batch))

    assert good > 0.93 * rate * seconds
