"""Turns at the threads of the PNG queue."""

import asyncio
import subprocess
import sys
import threading

import pytest

from dcgan.serving.encoding.fair_pool import FairPool
from dcgan.serving.peer import Peer

HOG = Peer("1", "a")
OTHER = Peer("2", "b")


class Gate:
    """A function that blocks its thread until it is opened."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.began.set()
        assert self.opened.wait(60)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.began.wait, 60)


async def test_clients_take_turns():
    pool, gate, order = FairPool(1, "test"), Gate(), []
    first = asyncio.create_task(pool.run(HOG, gate))
    await gate.has_begun()
    names = ("hog 1", "hog 2", "hog 3", "other")
    peers = (HOG, HOG, HOG, OTHER)
    runs = [
        asyncio.create_task(pool.run(peer, lambda name=name: order.append(name)))
        for name, peer in zip(names, peers, strict=True)
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *runs)
    assert order == ["hog 1", "other", "hog 2", "hog 3"]


async def test_short_functions_do_not_wait_for_long_ones():
    pool, gates = FairPool(2, "test"), [Gate() for _ in range(3)]
    long = [asyncio.create_task(pool.run(HOG, gate, is_long=True)) for gate in gates]
    await gates[1].has_begun()
    assert await asyncio.wait_for(pool.run(OTHER, lambda: 7), 60) == 7
    assert not gates[2].began.is_set()
    for gate in gates:
        gate.opened.set()
    await asyncio.gather(*long)


async def test_long_functions_do_not_wait_for_all_short_ones():
    pool, gates = FairPool(2, "test"), [Gate() for _ in range(3)]
    short = [asyncio.create_task(pool.run(HOG, gate)) for gate in gates]
    await gates[1].has_begun()
    long = asyncio.create_task(pool.run(OTHER, lambda: 7, is_long=True))
    await asyncio.sleep(0)
    gates[0].opened.set()
    assert await asyncio.wait_for(long, 60) == 7
    for gate in gates:
        gate.opened.set()
    await asyncio.gather(*short)


async def test_an_error_is_that_of_the_caller_and_a_cancelled_function_does_not_run():
    pool, gate, order = FairPool(1, "test"), Gate(), []
    first = asyncio.create_task(pool.run(HOG, gate))
    await gate.has_begun()
    cancelled = asyncio.create_task(pool.run(HOG, lambda: order.append("cancelled")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled  # the loop has passed the cancellation on
    gate.opened.set()
    await first
    with pytest.raises(ZeroDivisionError):
        await pool.run(OTHER, lambda: 1 // 0)
    assert order == []


ENDLESS = """
import asyncio, threading
from dcgan.serving.encoding.fair_pool import FairPool
from dcgan.serving.peer import LOCAL
from dcgan.serving.running_calls import exit_process, running_calls

async def main():
    began = threading.Event()
    def hang():
        began.set()
        threading.Event().wait()
    task = asyncio.create_task(FairPool(1, "test").run(LOCAL, hang))
    await asyncio.to_thread(began.wait)
    task.cancel()

asyncio.run(main())
if running_calls():
    exit_process(7)
"""


def test_what_still_runs_at_the_end_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", ENDLESS], check=False, timeout=60)
    assert ended.returncode == 7
