"""Who gets a place for another connection, and which one is closed for it."""

import pytest

from dcgan.serving.open_connections import OpenConnections
from dcgan.serving.peer import Peer


class Port:
    """Connections by name; the address is the first letter."""

    def __init__(self, limit: int) -> None:
        self.connections = OpenConnections(limit)
        self.closed: list[str] = []

    def admit(self, name: str) -> bool:
        return self.connections.admit(name, Peer(name, name[0]), lambda: self.closed.append(name))

    def work(self, *names: str) -> None:
        for name in names:
            self.connections.set_busy(name)


@pytest.fixture
def port():
    """Twenty places, 18 of them taken by one address: its share."""
    port = Port(20)
    assert all(port.admit(f"a{i}") for i in range(18))
    return port


def test_an_address_makes_room_for_itself_and_others_find_room(port):
    assert port.admit("a18")
    assert port.closed == ["a0"]
    assert port.admit("b0")
    assert port.admit("b1")
    assert port.closed == ["a0", "a1"]
    assert len(port.connections) == 19


def test_busy_connections_are_not_closed(port):
    port.work("a0", "a2")
    port.connections.set_idle("a2")  # idle again, for a shorter time than others
    port.admit("a18")
    assert port.closed == ["a1"]


def test_an_address_does_not_take_places_from_others(port):
    port.work(*(f"a{i}" for i in range(18)))
    assert port.admit("b0")
    assert not port.admit("a18")
    assert port.closed == []


def test_of_many_addresses_the_one_with_most_idle_connections_gives_way():
    port = Port(4)
    assert all(port.admit(name) for name in ("a0", "b0", "b1"))
    assert port.admit("c0")
    assert port.closed == ["b0"]


def test_what_was_closed_or_never_admitted_is_forgotten(port):
    port.admit("a18")
    for name in ("a0", "nobody"):
        port.connections.remove(name)
        port.connections.set_idle(name)
    assert len(port.connections) == 18
    for i in range(1, 19):
        port.connections.remove(f"a{i}")
    assert len(port.connections) == 0
    assert not port.connections._idle


@pytest.mark.hostile(
    "A port of a client that is used again before its reset is noticed",
    "both places are given back",
)
def test_connections_from_the_same_port_have_a_place_each():
    connections = OpenConnections(20)
    peer = Peer("a0", "a")
    assert connections.admit("old", peer, lambda: None)
    assert connections.admit("new", peer, lambda: None)
    connections.set_busy("old")
    connections.set_idle("old")
    connections.remove("old")
    connections.set_busy("new")
    connections.remove("new")
    assert len(connections) == 0
    assert not connections._idle
    assert connections._held.total == 0
