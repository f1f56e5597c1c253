"""Shares of what clients may hold."""

import pytest

from dcgan.serving.peer import Peer
from dcgan.serving.shares import Shares, exceeds_share, queue_room

HOG = Peer("1", "a")
SIBLING = Peer("2", "a")
OTHER = Peer("3", "b")


def fill(limit: int, connections: list[str]) -> dict[int, int]:
    """What connections get that take all they can, one unit at a time, by position.

    Args:
        limit: in total.
        connections: address of each.
    """
    held = dict.fromkeys(range(len(connections)), 0)
    is_growing = True
    while is_growing:
        is_growing = False
        for i, address in enumerate(connections):
            of_address = sum(n for j, n in held.items() if connections[j] == address)
            if not exceeds_share(limit, sum(held.values()), of_address, held[i], 1):
                held[i] += 1
                is_growing = True
    return held


def test_one_connection_gets_two_thirds():
    assert fill(300, ["a"]) == {0: 200}


def test_one_address_gets_four_fifths_at_most_and_a_little_for_new_connections():
    held = fill(1000, ["a"] * 30)
    assert 0.79 * 1000 < sum(held.values()) <= 0.8 * 1000
    assert min(held.values()) > 0
    held = fill(300, ["a"] * 300)
    assert 0.8 * 300 < sum(held.values()) <= 0.9 * 300


def test_a_connection_that_holds_nothing_gets_something_whatever_others_of_its_address_hold():
    assert exceeds_share(1000, 800, 800, 5, 50)
    assert not exceeds_share(1000, 800, 800, 0, 50)
    assert exceeds_share(1000, 890, 890, 0, 50)
    assert not exceeds_share(1000, 890, 0, 0, 50)  # of another address


@pytest.mark.parametrize("address", ["a", "b"])
def test_who_comes_later_finds_room(address):
    connections = ["a"] * 10
    held = fill(1000, connections)
    total = sum(held.values())
    of_address = total if address == "a" else 0
    assert not exceeds_share(1000, total, of_address, 0, 1)


def test_many_addresses_do_not_get_more_than_there_is():
    held = fill(1000, [str(i) for i in range(50)])
    assert sum(held.values()) < 1000


def test_what_is_larger_than_the_limit_is_allowed_alone():
    assert not exceeds_share(10, 0, 0, 0, 100)
    assert exceeds_share(10, 1, 0, 0, 100)


def test_a_queue_admits_everybody_up_to_its_limit_and_above_it_those_who_hold_little():
    held = Shares()
    held.add(HOG, 100)  # alone, it may fill the queue
    assert held.exceeds(queue_room(100), HOG, 1)
    assert not held.exceeds(queue_room(100), SIBLING, 16)
    assert held.exceeds(queue_room(100), SIBLING, 64)
    assert not held.exceeds(queue_room(100), OTHER, 16)
    held.add(HOG, -50)
    for peer in (HOG, SIBLING, OTHER):
        assert not held.exceeds(queue_room(100), peer, 50)


def test_what_is_held_is_given_back():
    held = Shares()
    for peer in (HOG, SIBLING, OTHER):
        held.add(peer, 10)
    assert (held.total, held.of_address(HOG), held.of_connection(HOG)) == (30, 20, 10)
    for peer in (HOG, SIBLING, OTHER):
        held.add(peer, -10)
    assert (held.total, held.of_address(HOG), held.of_connection(HOG)) == (0, 0, 0)
    assert not held._addresses
    assert not held._connections


def test_others_get_as_many_turns_as_a_client_until_it_is_served():
    held = Shares()
    assert held.amount_until(OTHER, 1, 16) == 1
    held.add(HOG, 1000)
    assert held.amount_until(OTHER, 1, 16) == 1 + 16
    assert held.amount_until(OTHER, 40, 16) == 40 + 48
    assert held.amount_until(HOG, 1001, 16) == 1001
    held.add(OTHER, 5)
    assert held.amount_until(HOG, 1001, 16) == 1001 + 5
    assert held.amount_until(SIBLING, 1, 16) == 1 + 16 + 5
