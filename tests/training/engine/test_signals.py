"""Graceful shutdown on signals."""

import multiprocessing
import os
import signal

import pytest

from dcgan.training.engine.signals import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_recorded_and_the_handlers_are_restored(number):
    before = signal.getsignal(number)
    stop = StopSignal()
    assert not stop.requested
    with stop.installed():
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.received == number
    assert signal.getsignal(number) is before


def receive_two() -> None:
    with StopSignal().installed():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_second_signal_ends_the_process():
    process = multiprocessing.get_context("fork").Process(target=receive_two)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGTERM
