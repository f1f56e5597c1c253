"""Echoes of a signal are not second requests."""

from dcgan.core.signals import SignalCounter


def test_signals_within_a_second_are_one_request():
    counter = SignalCounter(iter([5.0, 5.0, 5.9, 6.0, 9.0]).__next__)
    assert [counter.is_repeated() for _ in range(5)] == [False, False, False, True, True]
