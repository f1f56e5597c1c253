"""Hedging: a second request when the first is slow, within a budget."""

from __future__ import annotations

from threading import Lock

import grpc

from dcgan.serving.client.deadline import MAX_TIMEOUT_S
from dcgan.serving.client.errors import RefusedError

_TOKENS_PER_CALL = 0.1
_MAX_TOKENS = 10.0


class HedgeBudget:
    """Limits second requests to one in ten calls, so that a slow server gets little extra load.

    It may be shared between threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens = _MAX_TOKENS

    def earn(self) -> None:
        """Counts a call."""
        with self._lock:
            self._tokens = min(self._tokens + _TOKENS_PER_CALL, _MAX_TOKENS)

    def spend(self) -> bool:
        """Returns whether a second request may be sent; if so, it is counted."""
        with self._lock:
            allowed = self._tokens >= 1
            self._tokens -= allowed
            return allowed


def check_hedge_delay(delay_s: float | None) -> float | None:
    """Returns a delay that both clients can wait for.

    Args:
        delay_s: time after which a second request is sent, in seconds; None for never.

    Raises:
        RefusedError: if it is negative or NaN.
    """
    if delay_s is None:
        return None

    if not delay_s >= 0:  # also if it is NaN
        raise RefusedError(
            f"hedge_after_s must be 0 or more, or None, not {delay_s}",
            grpc.StatusCode.INVALID_ARGUMENT,
        )
    return min(delay_s, MAX_TIMEOUT_S)
