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


def receive_two(seconds: float) -> None:
    with StopSignal(iter([0.0, seconds]).__next__).installed():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("seconds", "code"), [(2.0, -signal.SIGTERM), (0.1, 0)])
def test_the_second_signal_ends_the_process_unless_it_is_an_echo(seconds, code):
    process = multiprocessing.get_context("fork").Process(target=receive_two, args=[seconds])
    process.start()
    process.join()
    assert process.exitcode == code
