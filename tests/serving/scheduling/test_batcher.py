"""Single rules of the batcher; `test_batcher_schedules.py` has what follows from all of them."""

import math

import pytest

from dcgan.serving.errors import RequestError
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.errors import QueueFullError
from dcgan.serving.scheduling.work_item import WorkItem, WorkState


def make(max_batch=16, quantum=4, queue_limit=1000, engines=1) -> Batcher[WorkItem]:
    return Batcher(max_batch=max_batch, quantum=quantum, queue_limit=queue_limit, engines=engines)


def put(batcher: Batcher[WorkItem], n: int, now=0.0, deadline=math.inf, *, more=False) -> WorkItem:
    item = make_item(n, now, deadline, more=more)
    batcher.admit(item)
    batcher.enqueue(item)
    return item


def make_item(n: int, now=0.0, deadline=math.inf, *, whole=0, more=False) -> WorkItem:
    demand = Demand(
        images=n,
        request_images=whole or n,
        arrived=now,
        deadline=deadline,
        is_continuation=more,
    )
    return WorkItem(demand=demand)


def run(batcher: Batcher[WorkItem], now=0.0, seconds=1.0):
    batch, _ = batcher.next_batch(now)
    batcher.finish(batch, now + seconds)
    return batch


def refusal(batcher: Batcher[WorkItem], n: int, now=0.0, deadline=math.inf) -> RequestError:
    with pytest.raises(RequestError) as caught:
        put(batcher, n, now, deadline)
    return caught.value


def is_admitted(batcher: Batcher[WorkItem], item: WorkItem) -> bool:
    try:
        batcher.admit(item)
    except RequestError:
        return False
    batcher.enqueue(item)
    return True


def test_a_free_engine_gets_whatever_waits_at_once():
    batcher = make()
    item = put(batcher, 1)
    batch, expired = batcher.next_batch(0.0)
    assert ([(piece.item, piece.start, piece.count) for piece in batch.slices], expired) == (
        [(item, 0, 1)],
        [],
    )


def test_nothing_waits_then_there_is_no_batch():
    assert make().next_batch(0.0) == (None, [])


def test_what_arrives_while_the_engine_works_gathers():
    batcher = make()
    put(batcher, 1)
    batch, _ = batcher.next_batch(0.0)
    for _ in range(5):
        put(batcher, 2)
    batcher.finish(batch, 1.0)
    assert batcher.next_batch(1.0)[0].images == 10


def test_a_large_ticket_is_split_and_complete_only_at_the_end():
    batcher = make()
    item = put(batcher, 40)
    sizes, complete = [], []
    while (batch := batcher.next_batch(0.0)[0]) is not None:
        sizes.append(batch.images)
        complete.append(batcher.finish(batch, 1.0))
    assert sizes == [16, 16, 8]
    assert complete == [[], [], [item]]


def test_one_image_beside_ten_thousand_is_in_the_next_batch():
    batcher = make(queue_limit=20_000)
    put(batcher, 10_000)
    run(batcher)
    single = put(batcher, 1)
    assert any(piece.item is single for piece in batcher.next_batch(0.0)[0].slices)


def test_small_tickets_take_turns_with_one_large_one_and_the_next_follows():
    batcher = make(max_batch=12, quantum=4)
    a, b, c, d = put(batcher, 20), put(batcher, 20), put(batcher, 2), put(batcher, 2)
    given = [{piece.item: piece.count for piece in run(batcher).slices} for _ in range(4)]
    assert given == [{a: 8, c: 2, d: 2}, {a: 12}, {b: 12}, {b: 8}]


def test_a_cancelled_ticket_costs_nothing_more():
    batcher = make()
    first, second = put(batcher, 5), put(batcher, 5)
    batcher.cancel(first, 0.0)
    batch, _ = batcher.next_batch(0.0)
    assert [piece.item for piece in batch.slices] == [second]
    assert (first.state, batcher.counts.settled[WorkState.CANCELLED]) == (WorkState.CANCELLED, 1)


def test_a_ticket_cancelled_before_it_is_put_in_line_stays_out():
    batcher = make()
    item = make_item(3)
    batcher.admit(item)
    batcher.cancel(item, 0.0)
    batcher.enqueue(item)
    assert batcher.next_batch(0.0) == (None, [])
    assert batcher.waiting_images == 0


def test_cancelling_one_of_a_batch_leaves_the_others():
    batcher = make()
    first, second = put(batcher, 5), put(batcher, 5)
    batch, _ = batcher.next_batch(0.0)
    batcher.cancel(first, 0.0)
    assert batcher.finish(batch, 1.0) == [second]


def test_what_has_expired_is_dropped_and_told():
    batcher = make()
    late, good = put(batcher, 5, deadline=1.0), put(batcher, 5, deadline=3.0)
    batch, expired = batcher.next_batch(2.0)
    assert expired == [late]
    assert [piece.item for piece in batch.slices] == [good]


def test_cancelling_after_the_deadline_counts_as_expired():
    batcher = make()
    item = put(batcher, 5, deadline=1.0)
    batcher.cancel(item, 1.5)
    assert item.state is WorkState.EXPIRED


def test_a_batch_that_fails_takes_its_own_tickets_and_no_others():
    batcher = make()
    large = put(batcher, 20)
    batch, _ = batcher.next_batch(0.0)
    other = put(batcher, 3)
    assert batcher.fail(batch) == [large]
    assert [piece.item for piece in batcher.next_batch(0.0)[0].slices] == [other]
    assert (batcher.running_images, batcher.waiting_images) == (3, 0)


def test_a_full_queue_refuses_and_says_when_to_come_back():
    batcher = make(queue_limit=20)
    put(batcher, 10)
    run(batcher, seconds=0.5)  # 20 images a second
    put(batcher, 20)
    error = refusal(batcher, 10)
    assert isinstance(error, QueueFullError)
    assert error.retry_after_s == pytest.approx(0.5)


def test_before_the_first_batch_a_full_queue_asks_for_a_second():
    batcher = make(queue_limit=5)
    put(batcher, 5)
    assert refusal(batcher, 1).retry_after_s == 1.0


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits():
    batcher = make(queue_limit=5)
    put(batcher, 50)
    assert refusal(batcher, 1).reason == "QUEUE_FULL"


def test_the_queue_limit_does_not_stop_the_rest_of_an_accepted_request():
    batcher = make(queue_limit=5)
    put(batcher, 5)
    assert put(batcher, 5, more=True).state is WorkState.WAITING


def test_a_deadline_that_has_passed_is_refused():
    assert refusal(make(), 1, now=2.0, deadline=2.0).reason == "DEADLINE_PASSED"


def test_a_deadline_that_cannot_be_met_is_refused_at_once():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=1.0)  # 10 images a second
    put(batcher, 4)
    put(batcher, 100)
    assert (
        refusal(batcher, 4, deadline=1.4).reason == "DEADLINE_UNREACHABLE"
    )  # 4 + 4 of the others go first: 1.2 s
    assert put(batcher, 4, deadline=1.6).state is WorkState.WAITING


def test_two_engines_are_twice_as_fast():
    one, two = make(engines=1), make(engines=2)
    for batcher in (one, two):
        put(batcher, 10)
        run(batcher, seconds=1.0)
    assert (one.images_per_s, two.images_per_s) == (pytest.approx(10), pytest.approx(20))


def test_a_stall_does_not_make_an_idle_engine_refuse_for_ever():
    batcher = make()
    for _ in range(10):
        put(batcher, 10)
        run(batcher, seconds=0.1)  # 100 images a second
    put(batcher, 10)
    run(batcher, seconds=60.0)  # the machine slept
    assert batcher.images_per_s > 50
    assert put(batcher, 10, deadline=0.2).state is WorkState.WAITING


def test_a_stall_does_not_refuse_several_batches_for_ever():
    batcher = make()
    put(batcher, 16)
    run(batcher, seconds=4.0)  # 4 images per second
    item = make_item(64, 10.0, 20.0)  # 16 s
    refusals = 0
    while not is_admitted(batcher, item):
        refusals += 1
        assert refusals < 20
    assert refusals > 0

    # While other work will be measured, the estimate stays as it is.
    batcher.cancel(item, 10.0)
    put(batcher, 16)
    run(batcher, 10.0, seconds=4.0)
    put(batcher, 1)
    assert not any(is_admitted(batcher, make_item(64, 10.0, 20.0)) for _ in range(20))


def test_when_nothing_waits_one_batch_is_never_refused_on_an_estimate():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=100.0)
    assert put(batcher, 10, deadline=1.0).state is WorkState.WAITING


def test_streams_do_not_fill_the_queue_for_others():
    batcher = make(queue_limit=20)
    for _ in range(10):
        put(batcher, 64, more=True)
    assert put(batcher, 20).state is WorkState.WAITING
    assert refusal(batcher, 1).reason == "QUEUE_FULL"


def test_the_deadline_of_a_stream_is_held_against_all_of_it():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=1.0)
    with pytest.raises(RequestError, match="would be ready in 100 s"):
        batcher.admit(make_item(10, deadline=50.0, whole=1000))
    batcher.admit(make_item(10, deadline=150.0, whole=1000))


def test_an_accepted_stream_ends_at_its_deadline_and_not_at_an_estimate():
    batcher = make()
    put(batcher, 10)
    run(batcher, seconds=1.0)  # 10 images a second
    put(batcher, 100)
    assert refusal(batcher, 10, deadline=2.0).reason == "DEADLINE_UNREACHABLE"
    assert put(batcher, 10, deadline=2.0, more=True).state is WorkState.WAITING
    with pytest.raises(RequestError, match="the deadline of the request passed"):
        put(batcher, 10, now=2.0, deadline=2.0, more=True)


def test_a_failed_batch_is_split_until_the_item_at_fault_is_alone():
    batcher = make()
    items = [put(batcher, 3) for _ in range(5)]
    batch, _ = batcher.next_batch(0.0)
    halves, expired = batcher.split(batch, 1.0)
    assert [[piece.item for piece in half.slices] for half in halves] == [items[:3], items[3:]]
    assert ([half.images for half in halves], expired) == ([9, 6], [])
    assert batcher.running_images == 15
    assert batcher.finish(halves[0], 2.0) == items[:3]
    assert batcher.fail(halves[1]) == items[3:]
    assert batcher.running_images == 0


def test_what_expired_or_was_cancelled_is_not_run_again():
    batcher = make()
    late, gone, good = put(batcher, 2, deadline=5.0), put(batcher, 3), put(batcher, 4)
    batch, _ = batcher.next_batch(0.0)
    batcher.cancel(gone, 1.0)
    halves, expired = batcher.split(batch, 6.0)
    assert expired == [late]
    assert late.state is WorkState.EXPIRED
    assert [[piece.item for piece in half.slices] for half in halves] == [[good]]
    assert batcher.running_images == 4
