"""The batcher under a simulated clock: single rules, and thousands of random schedules against a plain model of it."""

import math
import random
from dataclasses import dataclass, field

import pytest

from dcgan.serving.batcher import Batcher, State, Ticket
from dcgan.serving.errors import Refusal


def make(max_batch=16, quantum=4, queue_limit=1000, engines=1) -> Batcher[Ticket]:
    return Batcher(max_batch=max_batch, quantum=quantum, queue_limit=queue_limit, engines=engines)


def put(batcher: Batcher[Ticket], n: int, now=0.0, deadline=math.inf, *, more=False) -> Ticket:
    ticket = Ticket(n=n, arrived=now, deadline=deadline, more=more)
    batcher.admit(ticket)
    batcher.enqueue(ticket)
    return ticket


def run(batcher: Batcher[Ticket], now=0.0, seconds=1.0):
    batch, _ = batcher.take(now)
    batcher.finish(batch, now + seconds)
    return batch


def refusal(batcher: Batcher[Ticket], n: int, now=0.0, deadline=math.inf) -> Refusal:
    with pytest.raises(Refusal) as caught:
        put(batcher, n, now, deadline)
    return caught.value


def test_a_free_engine_gets_whatever_waits_at_once():
    batcher = make()
    ticket = put(batcher, 1)
    batch, expired = batcher.take(0.0)
    assert ([(piece.ticket, piece.start, piece.count) for piece in batch.slices], expired) == ([(ticket, 0, 1)], [])


def test_nothing_waits_then_there_is_no_batch():
    assert make().take(0.0) == (None, [])


def test_what_arrives_while_the_engine_works_gathers():
    batcher = make()
    put(batcher, 1)
    batch, _ = batcher.take(0.0)
    for _ in range(5):
        put(batcher, 2)
    batcher.finish(batch, 1.0)
    assert batcher.take(1.0)[0].images == 10


def test_a_large_ticket_is_split_and_complete_only_at_the_end():
    batcher = make()
    ticket = put(batcher, 40)
    sizes, complete = [], []
    while (batch := batcher.take(0.0)[0]) is not None:
        sizes.append(batch.images)
        complete.append(batcher.finish(batch, 1.0))
    assert sizes == [16, 16, 8]
    assert complete == [[], [], [ticket]]


def test_one_image_beside_ten_thousand_is_in_the_next_batch():
    batcher = make(queue_limit=20_000)
    put(batcher, 10_000)
    run(batcher)
    single = put(batcher, 1)
    assert any(piece.ticket is single for piece in batcher.take(0.0)[0].slices)


def test_tickets_take_turns():
    batcher = make(max_batch=12, quantum=4)
    a, b = put(batcher, 20), put(batcher, 20)
    given = [{piece.ticket: piece.count for piece in run(batcher).slices} for _ in range(3)]
    assert given == [{a: 8, b: 4}, {b: 8, a: 4}, {a: 8, b: 4}]


def test_a_cancelled_ticket_costs_nothing_more():
    batcher = make()
    first, second = put(batcher, 5), put(batcher, 5)
    batcher.cancel(first, 0.0)
    batch, _ = batcher.take(0.0)
    assert [piece.ticket for piece in batch.slices] == [second]
    assert (first.state, batcher.counts.settled[State.CANCELLED]) == (State.CANCELLED, 1)


def test_a_ticket_cancelled_before_it_is_put_in_line_stays_out():
    batcher = make()
    ticket = Ticket(n=3, arrived=0.0)
    batcher.admit(ticket)
    batcher.cancel(ticket, 0.0)
    batcher.enqueue(ticket)
    assert batcher.take(0.0) == (None, [])
    assert batcher.waiting_images == 0


def test_cancelling_one_of_a_batch_leaves_the_others():
    batcher = make()
    first, second = put(batcher, 5), put(batcher, 5)
    batch, _ = batcher.take(0.0)
    batcher.cancel(first, 0.0)
    assert batcher.finish(batch, 1.0) == [second]


def test_what_has_expired_is_dropped_and_told():
    batcher = make()
    late, good = put(batcher, 5, deadline=1.0), put(batcher, 5, deadline=3.0)
    batch, expired = batcher.take(2.0)
    assert expired == [late]
    assert [piece.ticket for piece in batch.slices] == [good]


def test_cancelling_after_the_deadline_counts_as_expired():
    batcher = make()
    ticket = put(batcher, 5, deadline=1.0)
    batcher.cancel(ticket, 1.5)
    assert ticket.state is State.EXPIRED


def test_a_batch_that_fails_takes_its_own_tickets_and_no_others():
    batcher = make()
    large = put(batcher, 20)
    batch, _ = batcher.take(0.0)
    other = put(batcher, 3)
    assert batcher.fail(batch) == [large]
    assert [piece.ticket for piece in batcher.take(0.0)[0].slices] == [other]
    assert (batcher.running_images, batcher.waiting_images) == (3, 0)


def test_a_full_queue_refuses_and_says_when_to_come_back():
    batcher = make(queue_limit=20)
    put(batcher, 10)
    run(batcher, seconds=0.5)  # 20 images a second
    put(batcher, 20)
    error = refusal(batcher, 10)
    assert (error.reason, error.retry_s) == ("QUEUE_FULL", pytest.approx(0.5))


def test_before_the_first_batch_a_full_queue_asks_for_a_second():
    batcher = make(queue_limit=5)
    put(batcher, 5)
    assert refusal(batcher, 1).retry_s == 1.0


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits():
    batcher = make(queue_limit=5)
    put(batcher, 50)
    assert refusal(batcher, 1).reason == "QUEUE_FULL"


def test_the_queue_limit_does_not_stop_the_rest_of_an_accepted_request():
    batcher = make(queue_limit=5)
    put(batcher, 5)
    assert put(batcher, 5, more=True).state is State.WAITING


def test_a_deadline_that_has_passed_is_refused():
    assert refusal(make(), 1, now=2.0, deadline=2.0).reason == "DEADLINE_PASSED"


def test_a_deadline_that_cannot_be_met_is_refused_at_once():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=1.0)  # 10 images a second
    put(batcher, 4)
    put(batcher, 100)
    assert refusal(batcher, 4, deadline=1.4).reason == "DEADLINE_UNREACHABLE"  # 4 + 4 of the others go first: 1.2 s
    assert put(batcher, 4, deadline=1.6).state is State.WAITING


def test_two_engines_are_twice_as_fast():
    one, two = make(engines=1), make(engines=2)
    for batcher in (one, two):
        put(batcher, 10)
        run(batcher, seconds=1.0)
    assert (one.rate, two.rate) == (pytest.approx(10), pytest.approx(20))


@dataclass
class Plain:
    """The rules of the batcher, written as plainly as can be: everything is found by looking through all tickets."""

    max_batch: int
    quantum: int
    line: list[Ticket] = field(default_factory=list)
    left: dict[Ticket, int] = field(default_factory=dict)

    def take(self, now: float) -> dict[Ticket, int]:
        given: dict[Ticket, int] = {}
        while self.line and sum(given.values()) < self.max_batch:
            ticket = self.line.pop(0)
            if ticket.deadline <= now:
                continue
            count = min(self.quantum, self.left[ticket], self.max_batch - sum(given.values()))
            given[ticket] = given.get(ticket, 0) + count
            self.left[ticket] -= count
            if self.left[ticket]:
                self.line.append(ticket)
        return given


@pytest.mark.parametrize("seed", range(20))
def test_random_schedules_agree_with_the_plain_model(seed):
    source = random.Random(seed)
    for _ in range(150):
        play(source)


def play(source: random.Random) -> None:
    """One schedule of about 60 events with exact accounting after each; then all work ends."""
    max_batch, quantum, engines = source.choice([1, 4, 16]), source.choice([1, 3, 8]), source.choice([1, 1, 2])
    batcher = make(max_batch, quantum, source.choice([10, 100]), engines)
    plain, running, tickets, refused, now = Plain(max_batch, quantum), [], [], 0, 0.0
    for _ in range(60):
        now += source.expovariate(10)
        event = source.choice(["put", "put", "put", "cancel", "take", "take", "finish", "fail"])
        if event == "put":
            deadline = now + source.choice([0.0, 0.05, 0.5, math.inf])
            try:
                ticket = put(batcher, source.choice([1, 1, 2, 7, 40]), now, deadline, more=source.random() < 0.1)
            except Refusal:
                refused += 1
            else:
                tickets.append(ticket)
                plain.line.append(ticket)
                plain.left[ticket] = ticket.n
        elif event == "cancel" and tickets:
            ticket = source.choice(tickets)
            batcher.cancel(ticket, now)
            plain.line = [other for other in plain.line if other is not ticket]
        elif event == "take" and len(running) < engines:
            take(batcher, plain, running, now)
        elif event in ("finish", "fail") and running:
            end(batcher, plain, running.pop(source.randrange(len(running))), event, now)
        check(batcher, tickets, refused)
    while running or any(ticket.state is State.WAITING for ticket in tickets):
        now += 0.1
        if running:
            end(batcher, plain, running.pop(), "finish", now)
        take(batcher, plain, running, now)
        check(batcher, tickets, refused)
    assert (batcher.waiting_images, batcher.running_images, batcher.counts.waiting) == (0, 0, 0)


def take(batcher, plain, running, now) -> None:
    batch, expired = batcher.take(now)
    given = {} if batch is None else {piece.ticket: piece.count for piece in batch.slices}
    assert given == plain.take(now)
    assert all(ticket.deadline <= now and ticket.state is State.EXPIRED for ticket in expired)
    if batch is not None:
        assert 0 < batch.images == sum(given.values()) <= batcher.max_batch
        assert all(piece.start + piece.count == piece.ticket.taken for piece in batch.slices)
        running.append(batch)


def end(batcher, plain, batch, event, now) -> None:
    if event == "finish":
        settled = batcher.finish(batch, now)
        assert all(ticket.done == ticket.n and ticket.state is State.OK for ticket in settled)
    else:
        settled = batcher.fail(batch)
        assert all(ticket.state is State.FAILED for ticket in settled)
        plain.line = [ticket for ticket in plain.line if ticket not in settled]


def check(batcher, tickets, refused) -> None:
    counts = batcher.counts
    states = [ticket.state for ticket in tickets]
    assert counts.offered == len(tickets) + refused
    assert (counts.accepted, counts.rejected) == (len(tickets), refused)
    assert counts.waiting == states.count(State.WAITING)
    assert counts.settled == {state: states.count(state) for state in State if state is not State.WAITING}
    waiting = [ticket.n - ticket.taken for ticket in tickets if ticket.state is State.WAITING]
    assert batcher.waiting_images == sum(waiting)
    assert batcher._one_round == sum(min(left, batcher.quantum) for left in waiting)


def test_a_stall_does_not_make_an_idle_engine_refuse_for_ever():
    batcher = make()
    for _ in range(10):
        put(batcher, 10)
        run(batcher, seconds=0.1)  # 100 images a second
    put(batcher, 10)
    run(batcher, seconds=60.0)  # the machine slept
    assert batcher.rate > 50
    assert put(batcher, 10, deadline=0.2).state is State.WAITING


def test_when_nothing_waits_one_batch_is_never_refused_on_an_estimate():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=100.0)
    assert put(batcher, 10, deadline=1.0).state is State.WAITING


def test_streams_do_not_fill_the_queue_for_others():
    batcher = make(queue_limit=20)
    for _ in range(10):
        put(batcher, 64, more=True)
    assert put(batcher, 20).state is State.WAITING
    assert refusal(batcher, 1).reason == "QUEUE_FULL"


def test_the_deadline_of_a_stream_is_held_against_all_of_it():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=1.0)
    with pytest.raises(Refusal, match="would be ready in 100 s"):
        batcher.admit(Ticket(n=10, whole=1000, arrived=0.0, deadline=50.0))
    batcher.admit(Ticket(n=10, whole=1000, arrived=0.0, deadline=150.0))
