"""Which images an engine makes next. Pure: no threads, no sockets, and the time is always passed in.

It counts images, not requests. An engine that asks for work gets at once whatever waits, up to the batch limit; what
arrives while engines are busy gathers. Waiting tickets take turns of `quantum` images (deficit round robin, Shreedhar
and Varghese 1995), so one image beside a request for ten thousand waits for about one batch and not for all of them.

Of the large tickets, those of more than one turn, only the first takes turns with the small ones; the others wait for
it. If all did, each would be slowed by those that came after it, and when too much is asked for, all would be late.

At any moment: offered = accepted + rejected, and accepted = ok + failed + cancelled + expired + waiting.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from dcgan.serving.api import errors
from dcgan.serving.scheduling.rate import Rate, can_promise

_LARGE_AT_ONCE = 1  # tickets of more than a turn that take turns; the rest follow in order


class State(Enum):
    """What became of a ticket."""

    WAITING = "waiting"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(eq=False, slots=True, kw_only=True)
class Ticket:
    """A number of images that are asked for. Subclasses add what they are made of.

    Attributes:
        n: how many images, 1 or more.
        arrived: when they were asked for.
        deadline: when they are of no use any more; infinity for never.
        reserve: time that is left for what is done with them once they are made: their deadline is so much before that
            of the request.
        more: whether they belong to a request that was accepted before. Neither the queue limit nor an estimate of the
            time stops those, and the limit does not count them.
        whole: images of the whole request, if it has more than these.
        started: when the first of its images went to an engine.
        taken: how many images engines have been given.
        done: how many images engines have made.
        state: what became of it.
        turns: whether it takes turns now, or will as soon as it is put in line.
    """

    n: int
    arrived: float
    deadline: float = math.inf
    reserve: float = 0.0
    more: bool = False
    whole: int = 0
    started: float = math.inf
    taken: int = 0
    done: int = 0
    state: State = State.WAITING
    turns: bool = False


T = TypeVar("T", bound=Ticket)


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Images `start` to `start + count - 1` of a ticket."""

    ticket: T
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Work for one run of an engine."""

    slices: tuple[Slice[T], ...]
    images: int
    started: float


@dataclass(slots=True)
class Counts:
    """Tickets since the start. `waiting` are those accepted and not settled, on an engine or not."""

    offered: int = 0
    accepted: int = 0
    rejected: int = 0
    waiting: int = 0
    settled: dict[State, int] = field(
        default_factory=lambda: {state: 0 for state in State if state != State.WAITING}
    )


class Batcher(Generic[T]):
    """The queue of one model.

    Args:
        max_batch: most images in a batch.
        quantum: images that a ticket gets in one turn.
        queue_limit: most images that may wait for an engine; a single request that is larger waits alone.
        engines: how many engines work at once; the rate is theirs together.
    """

    def __init__(self, *, max_batch: int, quantum: int, queue_limit: int, engines: int = 1) -> None:
        self.max_batch = max_batch
        self.quantum = quantum
        self.queue_limit = queue_limit
        self.counts = Counts()
        self.waiting_images = 0  # accepted, not yet given to an engine
        self.running_images = 0  # with an engine
        self._limited_images = 0  # of those that wait: the ones that count against the limit
        self._rate = Rate(engines)
        self._line: OrderedDict[int, T] = (
            OrderedDict()
        )  # tickets that take turns, by identity, next turn first
        self._later: OrderedDict[int, T] = OrderedDict()  # large ones that will, in order
        self._large = 0  # how many in the line are large
        self._one_round = 0  # images in one turn of every ticket that takes turns

    @property
    def rate(self) -> float | None:
        """Images a second of all engines together when busy; None before the first batch."""
        return self._rate.per_s

    def admit(self, ticket: T) -> None:
        """Accepts a ticket, which runs as soon as `enqueue` is called.

        Raises:
            Refusal: if the queue is full, or the deadline has passed or cannot be met.
        """
        self.counts.offered += 1
        refusal = self._refusal(ticket)
        if refusal is not None:
            self.counts.rejected += 1
            raise refusal
        self.counts.accepted += 1
        self.counts.waiting += 1
        self._change_waiting(ticket, ticket.n)
        if not self._is_large(ticket):
            self._take_turns(ticket)

    def enqueue(self, ticket: T) -> None:
        """Puts an admitted ticket in line, unless it was cancelled in the meantime."""
        if ticket.state is State.WAITING:
            (self._later if self._is_large(ticket) else self._line)[id(ticket)] = ticket
            self._promote()

    def take(self, now: float) -> tuple[Batch[T] | None, list[T]]:
        """Gives an engine that is free its next batch.

        Returns:
            The batch, None if nothing waits; and the tickets that were found to have expired on the way.
        """
        counts: dict[int, int] = {}
        tickets: dict[int, T] = {}
        expired: list[T] = []
        room = self.max_batch
        while room and self._line:
            key, ticket = next(iter(self._line.items()))
            if ticket.deadline <= now:
                self._settle(ticket, State.EXPIRED)
                expired.append(ticket)
                continue
            count = min(self.quantum, room, ticket.n - ticket.taken - counts.get(key, 0))
            counts[key] = counts.get(key, 0) + count
            tickets[key] = ticket
            room -= count
            if ticket.taken + counts[key] < ticket.n:
                self._line.move_to_end(key)
            else:
                self._leave(ticket)
        if not counts:
            return None, expired
        slices = tuple(self._cut(tickets[key], count, now) for key, count in counts.items())
        return Batch(slices, self.max_batch - room, now), expired

    def finish(self, batch: Batch[T], now: float) -> list[T]:
        """Records that a batch was made.

        Returns:
            The tickets that are complete with it.
        """
        self.running_images -= batch.images
        self._rate.measure(batch.images, now - batch.started)
        complete = []
        for piece in batch.slices:
            piece.ticket.done += piece.count
            if piece.ticket.done == piece.ticket.n and piece.ticket.state is State.WAITING:
                self._settle(piece.ticket, State.OK)
                complete.append(piece.ticket)
        return complete

    def fail(self, batch: Batch[T]) -> list[T]:
        """Records that a batch could not be made.

        Returns:
            The tickets that failed with it.
        """
        self.running_images -= batch.images
        failed = [piece.ticket for piece in batch.slices if piece.ticket.state is State.WAITING]
        for ticket in failed:
            self._settle(ticket, State.FAILED)
        return failed

    def fail_line(self) -> list[T]:
        """Fails everything that waits for an engine, in part or in whole.

        Returns:
            The tickets that failed.
        """
        failed = [*self._line.values(), *self._later.values()]
        for ticket in reversed(failed):  # so that none is let into the line on the way
            self._settle(ticket, State.FAILED)
        return failed

    def fail_ticket(self, ticket: T) -> None:
        """Fails a ticket for which there is nothing that an engine could be given."""
        if ticket.state is State.WAITING:
            self._settle(ticket, State.FAILED)

    def cancel(self, ticket: T, now: float) -> None:
        """Drops a ticket that nobody waits for any more. After its deadline it counts as expired."""
        if ticket.state is State.WAITING:
            self._settle(ticket, State.EXPIRED if ticket.deadline <= now else State.CANCELLED)

    def _refusal(self, ticket: T) -> errors.Refusal | None:
        left = ticket.deadline - ticket.arrived
        if left <= 0:
            return errors.deadline_passed()
        if ticket.more:
            return None
        excess = self._limited_images + ticket.n - self.queue_limit
        if excess > 0 and self._limited_images:  # an empty queue takes anything
            return errors.queue_full(self.queue_limit, self._rate.retry_s(excess))
        whole = max(ticket.n, ticket.whole)
        if not self.waiting_images and whole <= self.max_batch:
            return None  # all of it is in the next batch, which also puts a wrong rate right
        needed = self._rate.time_for(self._ahead_of(whole) + whole)
        if can_promise(needed, left):
            return None
        return errors.deadline_unreachable(needed + ticket.reserve, left + ticket.reserve)

    def _ahead_of(self, n: int) -> int:
        """Images that are made before the last of n new ones, unless many more come: a round of turns, or all."""
        return self.running_images + (self._one_round if n <= self.quantum else self.waiting_images)

    def _is_large(self, ticket: T) -> bool:
        return ticket.n > self.quantum

    def _take_turns(self, ticket: T) -> None:
        ticket.turns = True
        self._one_round += min(ticket.n - ticket.taken, self.quantum)

    def _promote(self) -> None:
        """Lets large tickets into the line, as many as may be."""
        while self._later and self._large < _LARGE_AT_ONCE:
            key, ticket = self._later.popitem(last=False)
            self._line[key] = ticket
            self._large += 1
            self._take_turns(ticket)

    def _leave(self, ticket: T) -> None:
        """Takes a ticket out of the line, if it is in it."""
        self._later.pop(id(ticket), None)
        if self._line.pop(id(ticket), None) is not None and self._is_large(ticket):
            self._large -= 1
            self._promote()

    def _cut(self, ticket: T, count: int, now: float) -> Slice[T]:
        piece = Slice(ticket, ticket.taken, count)
        self._one_round -= min(ticket.n - ticket.taken, self.quantum)
        ticket.taken += count
        self._one_round += min(ticket.n - ticket.taken, self.quantum)
        ticket.started = min(ticket.started, now)
        self._change_waiting(ticket, -count)
        self.running_images += count
        return piece

    def _settle(self, ticket: T, state: State) -> None:
        left = ticket.n - ticket.taken
        self._leave(ticket)
        self._one_round -= min(left, self.quantum) if ticket.turns else 0
        self._change_waiting(ticket, -left)
        ticket.state = state
        self.counts.waiting -= 1
        self.counts.settled[state] += 1

    def _change_waiting(self, ticket: T, images: int) -> None:
        self.waiting_images += images
        self._limited_images += 0 if ticket.more else images
