"""A server in the process of its client."""

import asyncio
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from dcgan.core.errors import DcganError
from dcgan.serving import local, server
from dcgan.serving.client import AsyncClient, ClientError
from dcgan.serving.errors import ServingError


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_model_folder_is_served_as_long_as_the_block_runs(repository, expected):
    with local(repository / "tiny" / "2") as client:
        images = client.generate(7, 3)
        np.testing.assert_array_equal(images, expected("tiny", 7, range(3)))
        host, _, port = client.target.rpartition(":")
        assert [(model.name, model.version) for model in client.models()] == [("tiny", 2)]
    assert host == "127.0.0.1"
    with pytest.raises(ClientError, match="closed"):
        client.generate(7)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    assert "dcgan-local-server" not in threads()


async def test_it_works_inside_a_running_event_loop(repository, expected):
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    with local(str(repository / "tiny" / "2")) as client:
        np.testing.assert_array_equal(client.generate(7), expected("tiny", 7, [0]))
        async with AsyncClient(client.target) as other:
            images = await other.generate(7, 2)
        np.testing.assert_array_equal(images, expected("tiny", 7, range(2)))
    ticking.cancel()
    assert ticks


def test_two_at_once_are_two_servers(repository):
    with local(repository / "tiny" / "1") as one, local(repository / "tiny" / "2") as two:
        assert one.target != two.target
        assert not np.array_equal(one.generate(7), two.generate(7))


def test_a_model_that_cannot_be_served_is_one_sentence(repository, tmp_path):
    for model in (tmp_path, tmp_path / "nowhere", "no-such-model"):
        with pytest.raises(DcganError), local(model):
            pass
    assert "dcgan-local-server" not in threads()
    with (
        pytest.raises(DcganError, match="int8"),
        local(repository / "tiny" / "2", precision="int8"),
    ):
        pass


def test_an_error_in_the_block_is_passed_on_and_the_server_ends(repository):
    with pytest.raises(ZeroDivisionError), local(repository / "tiny" / "2"):
        raise ZeroDivisionError
    assert "dcgan-local-server" not in threads()


def test_a_server_that_ends_by_itself_is_an_error_at_the_end_of_the_block(repository, monkeypatch):
    async def end_once_ready(config, announce, shutdown, releases) -> None:
        announce(SimpleNamespace(address="127.0.0.1:1"))
        raise ServingError("an engine is stuck")

    monkeypatch.setattr(server, "run", end_once_ready)
    with pytest.raises(ServingError, match="an engine is stuck"), local(repository / "tiny" / "2"):
        pass
