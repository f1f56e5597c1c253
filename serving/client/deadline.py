"""The deadline of a call in the client, shared by all its attempts."""

from __future__ import annotations

import time

import grpc

from dcgan.serving.client.errors import DeadlineError

MAX_TIMEOUT_S = 1e6
"""gRPC overflows on much longer times."""


class Deadline:
    """A point in time by which a call must be answered.

    Args:
        timeout_s: time from now, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + min(timeout_s, MAX_TIMEOUT_S)

    def remaining_s(self) -> float:
        """Returns the time that remains, in seconds; always more than 0.

        Raises:
            DeadlineError: if none remains. (gRPC sends a call even then, and a quick server may
                answer it.)
        """
        remaining = self._at - time.monotonic()
        if not remaining > 0:  # also if it is NaN
            raise DeadlineError(
                "the time is up; allow more time, or ask for less",
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
        return remaining
