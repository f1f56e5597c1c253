"""An independent model of the batcher, for random schedules.

It tracks every image separately, keeps no sums, and derives everything from the whole history: the
state of each request, the images of each batch, and the counts.
"""

import math
from dataclasses import dataclass, field

from dcgan.serving.peer import Peer
from dcgan.serving.scheduling.work_item import WorkState

WAITING, RUNNING, MADE = "waiting", "running", "made"


@dataclass(eq=False)
class Asked:
    """A request as the model sees it: what was asked for, and where each of its images is."""

    n: int
    deadline: float
    more: bool
    large: bool
    peer: Peer
    images: list[str] = field(default_factory=list)
    state: WorkState = WorkState.WAITING

    def left(self) -> int:
        return self.images.count(WAITING) if self.state is WorkState.WAITING else 0


@dataclass
class Line:
    """Requests in order of arrival; addresses take turns, and so do the connections of each."""

    quantum: int
    asked: list[Asked] = field(default_factory=list)
    turns: list[Peer] = field(default_factory=list)  # connections, the next of each address first
    addresses: list[str] = field(default_factory=list)  # the next first
    spent: int = 0

    def add(self, asked: Asked) -> None:
        self.asked.append(asked)
        if asked.peer not in self.turns:
            self.turns.append(asked.peer)
        if asked.peer.address not in self.addresses:
            self.addresses.append(asked.peer.address)

    def first(self) -> Asked:
        turn = next(peer for peer in self.turns if peer.address == self.addresses[0])
        return next(asked for asked in self.asked if asked.peer == turn)

    def take_turn(self, asked: Asked, spent: int, *, stays: bool) -> None:
        """The first request has had its turn."""
        self.asked.remove(asked)
        if stays:
            self.asked.append(asked)
        self.turns.remove(asked.peer)
        self.turns.append(asked.peer)
        self.spent += spent
        self.prune()
        if asked.peer.address in self.addresses and self.spent >= self.quantum:
            self.addresses.remove(asked.peer.address)
            self.addresses.append(asked.peer.address)
            self.spent = 0

    def drop(self, asked: Asked) -> None:
        if asked in self.asked:
            self.asked.remove(asked)
            self.prune()

    def prune(self) -> None:
        """Forgets the clients that have no request any more."""
        self.turns = [peer for peer in self.turns if any(each.peer == peer for each in self.asked)]
        left = {peer.address for peer in self.turns}
        if self.addresses[0] not in left:
            self.spent = 0
        self.addresses = [address for address in self.addresses if address in left]


@dataclass
class Model:
    """The rules, written as plainly as can be."""

    max_batch: int
    quantum: int
    limit: int
    engines: int
    asked: list[Asked] = field(default_factory=list)
    line: Line = field(init=False)  # those that get images in the next round
    later: Line = field(default_factory=lambda: Line(1))
    refused: int = 0
    running: dict[int, tuple[list[tuple[Asked, int]], float]] = field(
        default_factory=dict
    )  # batches, by number
    history: list[tuple[int, float]] = field(
        default_factory=list
    )  # images and seconds of batches that were made
    doubts: dict[int, int] = field(
        default_factory=dict
    )  # refusals without other work, by the number of batches that were made before

    def __post_init__(self) -> None:
        self.line = Line(self.quantum)

    def rate(self) -> float | None:
        images = seconds = 0.0
        for more_images, took in self.history:
            longest = 4 * more_images * seconds / images if images else math.inf
            if took > 0:
                images, seconds = 0.9 * images + more_images, 0.9 * seconds + min(took, longest)
        return self.engines * images / seconds if seconds else None

    def refusal(self, new: Asked, now: float) -> str | None:
        n, deadline = new.n, new.deadline
        waiting = sum(each.left() for each in self.asked)
        at_work = sum(len(pieces) for pieces, _ in self.running.values())
        rate = self.rate()

        if deadline <= now:
            return "DEADLINE_PASSED"
        if new.more:
            return None
        if self.is_full_for(new):
            return "QUEUE_FULL"
        if rate is None or (waiting == 0 and n <= self.max_batch):
            return None
        rounds = [
            (each, min(each.left(), self.quantum))
            for each in self.asked
            if not each.large or each in self.line.asked
        ]
        everything = [(each, each.left()) for each in self.asked]
        large = [each.n for each in (*self.line.asked, *self.later.asked) if each.large]
        if n <= self.quantum:
            until = self.images_until(new, rounds, self.quantum)
        else:
            until = self.images_until(new, everything, max(large, default=self.quantum))
        trust = 0.9 ** self.doubts.get(len(self.history), 0)
        if trust * (at_work + until) / rate <= 0.8 * (deadline - now):
            return None
        if not waiting and not at_work:
            self.doubts[len(self.history)] = self.doubts.get(len(self.history), 0) + 1
        return "DEADLINE_UNREACHABLE"

    def is_full_for(self, new: Asked) -> bool:
        """Up to the limit everybody is admitted; above it, only those who hold little."""
        held = [(each, min(each.left(), self.limit)) for each in self.asked if not each.more]
        n = min(new.n, self.limit)
        total = sum(count for _, count in held)
        address = sum(count for each, count in held if each.peer.address == new.peer.address)
        connection = sum(count for each, count in held if each.peer == new.peer)
        room = 1.5 * self.limit
        if not total or total + n <= self.limit:
            return False
        is_first = not connection and total + n <= 0.9 * room
        return connection + address + 2 * n > 4 * (room - total - n) and not is_first

    def images_until(self, new: Asked, waiting: list[tuple[Asked, int]], turn: int) -> int:
        """How many images are made until the new request is complete."""
        waiting = [(each, count) for each, count in waiting if count]
        mine = sum(count for each, count in waiting if each.peer == new.peer) + new.n
        for is_rival, name in (
            (lambda peer: peer != new.peer and peer.address == new.peer.address, "name"),
            (lambda peer: peer.address != new.peer.address, "address"),
        ):
            rivals = [(each.peer, count) for each, count in waiting if is_rival(each.peer)]
            turns = math.ceil(mine / turn) * turn * len({getattr(peer, name) for peer, _ in rivals})
            mine += min(turns, sum(count for _, count in rivals))
        return mine

    def take(self, number: int, now: float) -> tuple[list[tuple[Asked, int]], list[Asked]]:
        pieces: list[tuple[Asked, int]] = []
        expired: list[Asked] = []

        while self.line.asked and len(pieces) < self.max_batch:
            asked = self.line.first()
            if asked.deadline <= now:
                asked.state = WorkState.EXPIRED
                expired.append(asked)
                self.line.drop(asked)
                self.promote()
                continue
            free = [i for i, place in enumerate(asked.images) if place == WAITING]
            turn = free[: min(self.quantum, self.max_batch - len(pieces))]
            for i in turn:
                asked.images[i] = RUNNING
                pieces.append((asked, i))
            self.line.take_turn(asked, len(turn), stays=len(turn) < len(free))
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
            self.line.drop(asked)
            self.later.drop(asked)
        self.promote()
        return some

    def enqueue(self, asked: Asked) -> None:
        if asked.state is WorkState.WAITING:
            (self.later if asked.large else self.line).add(asked)
            self.promote()

    def promote(self) -> None:
        """One large request at a time takes turns with the small ones."""
        if self.later.asked and not any(asked.large for asked in self.line.asked):
            asked = self.later.first()
            self.later.take_turn(asked, 1, stays=False)
            self.line.add(asked)
