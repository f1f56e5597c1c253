"""Limits on the calls, streams and memory that clients hold, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """What clients may hold in total, and for how long.

    One connection gets at most two thirds of each total, one address four fifths; see
    `dcgan.serving.shares.exceeds_share`.

    Attributes:
        max_calls: calls at once; 0 for no limit.
        max_streams: streams at once.
        max_unread_bytes: memory of replies that clients have not read.
        arrival_timeout_s: time in which a request must arrive after its headers.
        read_timeout_s: time in which a reply, or the next chunk of a stream, must be read; large
            ones have a second more for each 64 KiB.
        max_call_s: time after which a call is ended.
    """

    max_calls: int = 8192
    max_streams: int = 256
    max_unread_bytes: int = 2**29
    arrival_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    max_call_s: float = 3600.0
