"""Clients of connections, and the addresses that they share."""

import pytest

from dcgan.serving.peer import address_of, parse_peer


@pytest.mark.parametrize(
    ("peer", "host", "port"),
    [
        ("ipv4:127.0.0.1:50000", "127.0.0.1", "50000"),
        ("ipv6:%5B::1%5D:50000", "::1", "50000"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:7", "10.0.0.1", "7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:7", "fe80::1%eth0", "7"),
        ("unix:", "unix:", ""),
        ("ip::0", "ip::0", ""),
        ("", "", ""),
    ],
)
def test_a_peer_has_an_address_and_a_port(peer, host, port):
    assert parse_peer(peer) == (host, port)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("ipv4:10.0.0.1:1", "ipv4:10.0.0.1:2", True),
        ("ipv4:10.0.0.1:1", "ipv6:%5B::ffff:10.0.0.1%5D:2", True),
        ("ipv4:10.0.0.1:1", "ipv4:10.0.0.2:1", False),
        ("ipv6:%5B2001:db8::1%5D:1", "ipv6:%5B2001:db8::ffff:1%5D:1", True),
        ("ipv6:%5B2001:db8::1%5D:1", "ipv6:%5B2001:db8:0:1::1%5D:1", False),
        ("ipv6:%5Bfe80::1%25eth0%5D:7", "ipv6:%5Bfe80::2%25eth0%5D:7", True),
        ("unix:", "unix:", True),
    ],
)
def test_hosts_share_an_address_and_networks_of_ipv6_too(first, second, is_same):
    assert (address_of(first) == address_of(second)) is is_same
