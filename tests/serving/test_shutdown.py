"""Requests to shut down: signals before, during and after the start."""

import asyncio
import os
import signal

import pytest

from dcgan.serving.shutdown import ShutdownRequest, exit_on_sigterm


@pytest.mark.hostile("SIGTERM while the server starts", "ends quietly")
def test_a_signal_during_the_start_ends_the_process_quietly():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, exit_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_second_aborts(number):
    now = 0.0
    looks = []  # at the clock, one for each signal

    def clock() -> float:
        looks.append(now)
        return now

    shutdown = ShutdownRequest(clock)
    shutdown.listen_to_signals()

    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(shutdown.drain.wait(), 30)
        now = 0.1  # an echo, as where the process and its group are signalled
        os.kill(os.getpid(), number)
        while len(looks) < 2:
            await asyncio.sleep(0)
        assert not shutdown.abort.is_set()
        now = 2.0
        os.kill(os.getpid(), number)
        await asyncio.wait_for(shutdown.abort.wait(), 30)
    finally:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
