"""Commands run on uvloop where it is installed, and on asyncio's own loop where not."""

import asyncio
import sys

import pytest

from dcgan.core.event_loop import EventLoopError, run


async def name_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_taken_where_it_is_installed():
    pytest.importorskip("uvloop")
    assert run(name_of_loop()) == "uvloop"
    assert run(name_of_loop(), "uvloop") == "uvloop"
    assert run(name_of_loop(), "asyncio").startswith("asyncio.")


def test_without_uvloop_asyncio_is_taken_unless_uvloop_was_requested(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(name_of_loop()).startswith("asyncio.")
    with pytest.raises(EventLoopError, match=r"install the extra dcgan-zoo\[uvloop\]"):
        run(name_of_loop(), "uvloop")
