"""The settings of a client: what is checked before anything is sent."""

import os

import pytest

from dcgan.serving.client import AsyncClient, Client, RefusedError


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"metadata": {"X-Tenant": "blue"}}, "'X-Tenant' is not a key"),
        ({"metadata": {"grpc-timeout": "1"}}, "is not a key"),
        ({"metadata": {"": "1"}}, "is not a key"),
        ({"metadata": {"tenant": "blue\r\nadmin: yes"}}, "must be printable ASCII text"),
        ({"metadata": {"tenant": b"blue"}}, "must be printable ASCII text"),
        ({"metadata": {"tenant-bin": "blue"}}, "must be bytes"),
        ({"metadata": {"authorization": "Bearer a"}, "token": "b"}, "give one of them"),
        ({"token": "two words"}, "without spaces"),
        ({"token": "line\n"}, "without spaces"),
        ({"token": ""}, "without spaces"),
        ({"ca": b"no certificate"}, "ca holds no certificates; name a PEM file"),
        ({"ca": "/no/such/file"}, "cannot read '/no/such/file': No such file or directory"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_cannot_be_used_is_refused(kind, settings, problem):
    with pytest.raises(RefusedError, match=problem):
        kind("127.0.0.1:8001", **settings)


@pytest.mark.hostile("A host that is named like 127.0.0.1", "gets a token only over TLS")
@pytest.mark.parametrize("host", ["127.example.com", "127.0.0.1.example.com", "localhost.com"])
def test_a_name_that_looks_like_this_machine_gets_no_token(host):
    for target in (f"{host}:8001", f"127.0.0.1:8001,{host}:8001", host):
        with pytest.raises(RefusedError, match="only over TLS"):
            Client(target, token="secret")


def test_a_token_is_sent_to_other_machines_only_over_tls():
    with pytest.raises(RefusedError, match=r"only over TLS; add tls=True \(--tls\)"):
        Client("images.example.com:443", token="secret")
    with pytest.raises(RefusedError, match="only over TLS"):
        Client("127.0.0.1:8001,images.example.com:443", token="secret")
    for target in ("127.0.0.1:8001", "127.0.0.2", "[::1]:8001,localhost:8001", "unix:/socket"):
        Client(target, token="secret")
    Client("images.example.com:443", token="secret", tls=True)


def test_a_secret_is_not_shown():
    client = Client("127.0.0.1:8001", token="secret", metadata={"key": "hidden"})
    for shown in (repr(client), repr(client._settings), str(client)):
        assert "secret" not in shown
        assert "hidden" not in shown
    with pytest.raises(RefusedError) as caught:
        Client("127.0.0.1:8001", token="sec ret")
    assert "sec ret" not in str(caught.value)


@pytest.mark.hostile("A FIFO as `--ca` or `--from`", "refused; nothing waits for a writer")
def test_a_fifo_is_no_file_of_certificates(tmp_path):
    os.mkfifo(tmp_path / "ca")
    with pytest.raises(RefusedError, match="cannot read .*ca': it is not a regular file"):
        Client("127.0.0.1:8001", ca=tmp_path / "ca")
