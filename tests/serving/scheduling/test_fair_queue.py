"""The order in which clients get their turns."""

from dcgan.serving.peer import Peer
from dcgan.serving.scheduling.fair_queue import FairQueue


class Item(str):
    """A text that is not the same as equal ones."""


def fill(queue: FairQueue[Item], *texts: str) -> None:
    """Adds items: "a1x" is of connection 1 of address a."""
    for text in texts:
        queue.push(Peer(text[1], text[0]), Item(text))


def drain(queue: FairQueue[Item]) -> list[str]:
    items = []
    while queue:
        items.append(queue.pop())
    return items


def test_a_client_alone_is_served_in_order():
    queue = FairQueue[Item]()
    fill(queue, "a1x", "a1y", "a1z")
    assert drain(queue) == ["a1x", "a1y", "a1z"]


def test_addresses_take_turns_and_so_do_the_connections_of_one():
    queue = FairQueue[Item]()
    fill(queue, "a1u", "a1v", "a1w", "a2x", "b1y", "b1z")
    assert drain(queue) == ["a1u", "b1y", "a2x", "b1z", "a1v", "a1w"]


def test_the_turn_of_an_address_lasts_until_its_quantum_is_spent():
    queue = FairQueue[Item](quantum=3)
    fill(queue, "a1u", "a1v", "a2w", "a1x", "b1y")
    assert drain(queue) == ["a1u", "a2w", "a1v", "b1y", "a1x"]


def test_an_item_that_stays_goes_behind_those_of_its_connection():
    queue = FairQueue[Item]()
    fill(queue, "a1x", "a1y")
    queue.advance(1, is_done=False)
    assert drain(queue) == ["a1y", "a1x"]


def test_the_next_address_has_a_full_turn_when_the_first_one_leaves():
    queue = FairQueue[Item](quantum=2)
    gone = Item("a1u")
    queue.push(Peer("1", "a"), gone)
    fill(queue, "b1w", "b1x", "c1y")
    queue.advance(1, is_done=False)
    assert queue.remove(Peer("1", "a"), gone)
    assert not queue.remove(Peer("1", "a"), gone)
    assert drain(queue) == ["b1w", "b1x", "c1y"]
