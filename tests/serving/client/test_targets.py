"""Addresses of servers, and lists of them."""

import socket
import threading

import pytest

from dcgan.serving.client import AsyncClient, Client, UnreachableError
from dcgan.serving.client import targets as module
from dcgan.serving.client.targets import HostPort, TargetResolver, parse_target, resolve_servers


@pytest.fixture
def names(monkeypatch):
    """A name server of our own: addresses by name, which a test may change."""
    table: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, **options):
        if host not in table:
            return real(host, port, **options)
        if not table[host]:
            raise socket.gaierror("Name or service not known")
        infos = []
        for address in table[host]:
            infos += real(address, port, **options)
        return infos

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


@pytest.fixture
def impatient(monkeypatch):
    """Resolves names again at each call."""
    monkeypatch.setattr(module, "_REFRESH_S", 0.0)
    monkeypatch.setattr(module, "_REFRESH_AFTER_FAILURE_S", 0.0)


@pytest.mark.parametrize(
    "target", ["", " ", "127.0.0.1:1,127.0.0.1", "a:b,c:d", "a:1,,b:2", "caf\udce9"]
)
def test_what_is_no_address_is_named(target):
    with pytest.raises(UnreachableError, match="is not an address"):
        Client(target)


@pytest.mark.parametrize(
    "target",
    [
        "a:1,:2",
        "a:1,b:65536",
        "a:1,b:-2",
        "a:1,b:٣",
        "[::1]:1,::1:2",
        "a:1,[::1]",
        "a:1,b:" + "9" * 5000,
    ],
)
def test_each_of_several_must_have_a_host_and_a_port(target):
    with pytest.raises(UnreachableError, match="name it as host:port"):
        AsyncClient(target)


@pytest.mark.parametrize("target", ["https://images.example.com", "a:1,https://b:2"])
def test_a_url_is_refused_with_the_cure(target):
    with pytest.raises(UnreachableError, match=r"host:port, and ask for TLS with tls=True"):
        Client(target)


@pytest.mark.parametrize(
    "target", ["localhost:8001", "[::1]:8001", "dns:///a:1", "ipv4:127.0.0.1:1,127.0.0.1:2"]
)
def test_what_grpc_takes_is_left_to_it(target):
    assert parse_target(target) == ()
    assert TargetResolver(target).current() == target


def test_a_list_is_split_into_hosts_and_ports():
    assert parse_target("a:1, [::1]:2 ,127.0.0.1:3") == (
        HostPort("a", 1),
        HostPort("::1", 2),
        HostPort("127.0.0.1", 3),
    )


def test_a_list_becomes_one_target_of_one_family(names):
    names["both"] = ["127.0.0.2", "::1"]
    cases = {
        "127.0.0.1:1,127.0.0.1:2": "ipv4:127.0.0.1:1,127.0.0.1:2",
        "[::1]:8001,[::1]:8001": "ipv6:[::1]:8001",
        "127.0.0.1:1,[::1]:2": "ipv6:[::ffff:127.0.0.1]:1,[::1]:2",
        "both:1,127.0.0.1:2": "ipv6:[::ffff:127.0.0.2]:1,[::1]:1,[::ffff:127.0.0.1]:2",
    }
    for target, resolved in cases.items():
        assert resolve_servers(parse_target(target)) == resolved


def test_another_order_of_the_same_addresses_is_the_same_target(names):
    names["a"] = ["127.0.0.2", "127.0.0.1"]
    before = resolve_servers(parse_target("a:1,127.0.0.3:1"))
    names["a"] = ["127.0.0.1", "127.0.0.2"]
    assert resolve_servers(parse_target("a:1,127.0.0.3:1")) == before


def test_a_name_without_an_address_is_left_out_and_taken_up_later(names, impatient):
    names["late"] = []
    resolver = TargetResolver("127.0.0.1:1,late:2")
    assert resolver.resolve() == "ipv4:127.0.0.1:1"
    names["late"] = ["127.0.0.9"]
    wait_for(lambda: resolver.current() == "ipv4:127.0.0.1:1,127.0.0.9:2")
    names["late"] = []
    wait_for(lambda: resolver.current() == "ipv4:127.0.0.1:1")


def test_a_name_server_that_fails_changes_nothing(names, impatient):
    names["a"] = ["127.0.0.1"]
    names["b"] = ["127.0.0.2"]
    resolver = TargetResolver("a:1,b:2")
    before = resolver.resolve()
    names["a"] = names["b"] = []
    for _ in range(3):
        resolver.report_failure()
        wait_for_threads()
        assert resolver.current() == before


def test_names_are_not_resolved_again_at_every_call(names):
    names["a"] = names["b"] = ["127.0.0.1"]
    resolver = TargetResolver("a:1,b:2")
    before = resolver.resolve()
    names["a"] = ["127.0.0.2"]
    resolver.report_failure()
    wait_for_threads()
    assert resolver.current() == before


async def test_names_none_of_which_has_an_address_are_an_error_of_the_call(names):
    names["a"] = names["b"] = []
    with (
        Client("a:1,b:2") as client,
        pytest.raises(UnreachableError, match="none of a:1,b:2 has an address"),
    ):
        client.generate(7)
    async with AsyncClient("a:1,b:2") as aio:
        with pytest.raises(UnreachableError, match="none of a:1,b:2 has an address"):
            await aio.generate(7)


@pytest.mark.slow
async def test_a_server_that_moves_is_found_again(server, names, impatient, nobody):
    """Both names lead nowhere at first; then one of them leads to the server."""
    names["a"] = ["127.0.0.77"]  # nothing listens there
    names["b"] = ["127.0.0.78"]
    target = f"a:{server.port},b:{server.port}"

    with Client(target) as client:
        async with AsyncClient(target) as aio:
            with pytest.raises(UnreachableError):
                client.generate(7)
            with pytest.raises(UnreachableError):
                await aio.generate(7)
            names["a"] = ["127.0.0.1"]
            wait_for(lambda: reaches(client))
            wait_for_threads()
            aio._resolver.current()
            wait_for_threads()
            assert (await aio.generate(7)).shape == (1, 8, 8, 3)


def test_a_stream_under_way_survives_the_move_of_another_server(server, names, impatient):
    names["a"] = ["127.0.0.1"]
    names["b"] = ["127.0.0.78"]

    with Client(f"a:{server.port},b:{server.port}") as client:
        stream = client.stream(7, 2000)
        received = len(next(stream))
        names["b"] = ["127.0.0.79"]
        client._resolver.report_failure()
        wait_for_threads()
        before = client._connection
        assert client.generate(7).shape == (1, 8, 8, 3)
        assert client._connection is not before
        del before
        assert received + sum(map(len, stream)) == 2000


@pytest.mark.slow
def test_servers_on_ipv6_are_reached(ipv6_server):
    for target in (ipv6_server, f"{ipv6_server},{ipv6_server}", f"{ipv6_server},127.0.0.1:1"):
        with Client(target) as client:
            assert client.generate(7).shape == (1, 8, 8, 3)


@pytest.fixture
def ipv6_server(start_server, only):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with start_server(only("tiny"), "--host", "::1") as server:
        yield server.target


def reaches(client: Client) -> bool:
    try:
        client.generate(7)
    except UnreachableError:
        return False
    return True


def wait_for(holds) -> None:
    for _ in range(100):
        if holds():
            return
        wait_for_threads()
    raise AssertionError("it never holds")


def wait_for_threads() -> None:
    """Waits until no name is being resolved in the background."""
    for thread in threading.enumerate():
        if thread.name == "dcgan-resolve":
            thread.join(timeout=30)
