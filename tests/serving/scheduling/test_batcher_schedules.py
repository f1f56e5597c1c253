"""The batcher under a simulated clock: random schedules against a model of it, and overload."""

import math
import random
from contextlib import suppress

import pytest

from dcgan.serving.errors import RequestError
from dcgan.serving.peer import Peer
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.work_item import WorkItem, WorkState
from tests.serving.scheduling.batcher_model import WAITING, Asked, Model

PEERS = [Peer(name, address) for name, address in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")]]
EVENTS = (
    ["put"] * 6
    + ["take"] * 5
    + ["finish"] * 4
    + ["cancel", "draw", "fail", "split", "fail waiting"]
)


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
        self.peers = PEERS[: source.choice([1, 2, 4])]
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
                self.model.settle(
                    [*self.model.line.asked, *self.model.later.asked], WorkState.FAILED
                ),
            )

        self.check()

    def put(self) -> None:
        n, more = self.source.choice([1, 1, 2, 7, 40]), self.source.random() < 0.1
        deadline = self.now + self.source.choice([0.0, 0.05, 0.5, 5.0, math.inf])
        peer = self.source.choice(self.peers)
        item, asked = (
            WorkItem(
                demand=Demand(
                    images=n,
                    request_images=n,
                    arrived=self.now,
                    deadline=deadline,
                    peer=peer,
                    is_continuation=more,
                )
            ),
            Asked(n, deadline, more, n > self.model.quantum, peer),
        )
        asked.images = [WAITING] * n
        expected = self.model.refusal(asked, self.now)
        try:
            self.batcher.admit(item)
        except RequestError as refusal:
            assert refusal.reason == expected
            self.model.refused += 1
            return

        assert expected is None
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


@pytest.mark.parametrize(
    "seed",
    [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 20))],
)
def test_random_schedules_agree_with_the_model(seed):
    source = random.Random(seed)
    for _ in range(150):
        play = Play(source)
        for _ in range(60):
            play.now += source.expovariate(10)
            play.step(source.choice(EVENTS))
        while play.drawing or play.batches or play.model.line.asked:
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
