"""The configuration of a load test."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.core.errors import DcganError

REFERENCE_SEEDS = 4
"""Requests use seeds below this."""

REFERENCE_IMAGES = 512
"""Requests use indices below this, and so at most this many images."""


class LoadTestError(DcganError):
    """A load test that cannot start: no server answers, or something else does."""


@dataclass(frozen=True, kw_only=True)
class LoadTestConfig:
    """The configuration of a load test.

    Attributes:
        targets: addresses of servers; requests go to each in turn.
        sizes: numbers of images of a request, each with its weight.
        concurrency: callers of a closed loop.
        rate: requests a second of an open loop; None for a closed loop.
        duration_s: measured time, in seconds.
        warmup_s: time before that, in seconds.
        timeout_s: deadline of each request, in seconds.
        connections: HTTP/2 connections to each target.
        model: name of a model; empty for the server's default.
        verify: whether to compare every reply with images that were fetched before.
        seed: seed of sizes, seeds, offsets and arrival times.
        tls: whether to encrypt the connections.
        ca: certificates to trust, as PEM; None for those that gRPC ships.
        metadata: metadata of each request.
    """

    targets: tuple[str, ...] = ("127.0.0.1:8001",)
    sizes: tuple[tuple[int, float], ...] = ((1, 1.0),)
    concurrency: int = 32
    rate: float | None = None
    duration_s: float = 10.0
    warmup_s: float = 1.0
    timeout_s: float = 30.0
    connections: int = 1
    model: str = ""
    verify: bool = False
    seed: int = 0
    tls: bool = False
    ca: bytes | None = None
    metadata: tuple[tuple[str, str | bytes], ...] = ()
