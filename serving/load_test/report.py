"""The results of a load test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import grpc
import numpy as np

from dcgan.serving.load_test.config import LoadTestConfig

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
OK = grpc.StatusCode.OK.name


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A request that has ended.

    Attributes:
        n: number of images that it requested.
        seconds: time that it took.
        code: name of its gRPC status code.
    """

    n: int
    seconds: float
    code: str


@dataclass
class CallLog:
    """The calls of a load test.

    Attributes:
        start: start of the measured time, by `time.perf_counter`.
        end: end of the measured time.
        calls: the calls that count.
        mismatches: replies with wrong bytes.
    """

    start: float
    end: float
    calls: list[FinishedCall] = field(default_factory=list)
    mismatches: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadTestReport:
    """The results of a load test.

    Attributes:
        seconds: measured time.
        requests: requests that ended in that time; of an open loop, those that were due in it.
        images_per_s: images of successful replies per second.
        requests_per_s: successful replies per second.
        latency_ms: latency of successful replies, by percentile; empty if there was none.
        codes: number of requests, by gRPC status code.
        mismatches: replies with wrong bytes; None if they were not compared.
    """

    seconds: float
    requests: int
    images_per_s: float
    requests_per_s: float
    latency_ms: dict[str, float]
    codes: dict[str, int]
    mismatches: int | None

    def table(self) -> str:
        """Returns the results as a table in plain text."""
        rows = [
            ("images/s", f"{self.images_per_s:,.1f}"),
            ("requests/s", f"{self.requests_per_s:,.1f}"),
            *((f"latency p{name}", f"{value:,.2f} ms") for name, value in self.latency_ms.items()),
            *((f"code {code}", f"{count:,}") for code, count in sorted(self.codes.items())),
        ]
        if self.mismatches is not None:
            rows.append(("wrong replies", f"{self.mismatches:,}"))
        return "\n".join(f"{name:<16} {value:>16}" for name, value in rows)


def summarize(log: CallLog, config: LoadTestConfig) -> LoadTestReport:
    """Computes the results of a load test from its calls."""
    successful = [call for call in log.calls if call.code == OK]
    milliseconds = [call.seconds * 1000 for call in successful]
    latency = {}
    if successful:
        latency = {f"{p:g}": float(np.percentile(milliseconds, p)) for p in PERCENTILES}

    return LoadTestReport(
        seconds=config.duration_s,
        requests=len(log.calls),
        images_per_s=sum(call.n for call in successful) / config.duration_s,
        requests_per_s=len(successful) / config.duration_s,
        latency_ms=latency,
        codes=dict(Counter(call.code for call in log.calls)),
        mismatches=log.mismatches if config.verify else None,
    )
