"""A gRPC server in this process, whose clock the test sets."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from dcgan.serving.api.call_watch import end_late_calls
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.observability.metrics import Metrics


@dataclass
class Host:
    """A server in this process, whose time the test decides."""

    port: int
    in_flight: InFlight
    metrics: Metrics
    now: float = 1000.0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def read(self, family: str, label: str) -> dict[str, float]:
        """The samples of a counter, by one of its labels, without zeros."""
        found: Counter[str] = Counter()
        for metric in self.metrics.registry.collect():
            for sample in metric.samples:
                if sample.name == family and sample.value:
                    found[sample.labels[label]] += sample.value
        return dict(found)

    def handled(self) -> dict[str, float]:
        return self.read("grpc_server_handled_total", "grpc_code")

    def rejected(self) -> dict[str, float]:
        return self.read("dcgan_rejected_total", "reason")

    def is_writing(self) -> bool:
        """Whether a chunk of a stream waits to be read."""
        calls = self.in_flight.timed
        return any(call.unread_since is not None and not call.is_committed for call in calls)

    def end_late_calls(self, after_s: float) -> set[str]:
        self.now += after_s
        return end_late_calls(self.in_flight)


async def until(holds) -> None:
    """Waits until something holds, a minute at most."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


def reason(error: grpc.aio.AioRpcError) -> str:
    return ErrorInfo.FromString(rpc_status.from_call(error).details[0].value).reason
