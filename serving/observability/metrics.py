"""What the service says of itself to Prometheus, on a port of its own.

Base units, no label without a bound: no seed, no client, no name that a request made up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from dcgan.serving.address import join_address
from dcgan.serving.api.errors import ServingError
from dcgan.serving.scheduling.batcher import Counts

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

_SECONDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)
_LAG_INTERVAL_S = 0.25
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """All series, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        model = ["model"]
        self.started = Counter(
            "grpc_server_started", "RPCs that began.", ["grpc_method"], registry=registry
        )
        self.handled = Counter(
            "grpc_server_handled",
            "RPCs that ended, by code.",
            ["grpc_method", "grpc_code"],
            registry=registry,
        )
        self.handling = Histogram(
            "grpc_server_handling_seconds",
            "Time of an RPC.",
            ["grpc_method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.rejected = Counter(
            "dcgan_rejected", "Requests refused, by reason.", ["reason"], registry=registry
        )
        self.postprocess = Histogram(
            "dcgan_postprocess_seconds",
            "Time to turn images into a message.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.loop_lag = Histogram(
            "dcgan_event_loop_lag_seconds",
            "How late the event loop is.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.work = _WorkCollector(registry)
        self.tasks = Gauge("dcgan_event_loop_tasks", "Tasks of the event loop.", registry=registry)
        ProcessCollector(
            registry=registry
        )  # memory, processor time and open files, as Prometheus names them
        self.images = Counter("dcgan_images", "Images made.", model, registry=registry)
        self.batches = Counter(
            "dcgan_batches",
            "Batches by why they started: full, idle (the engine was free) or gathered (while it worked).",
            ["model", "dispatch_reason"],
            registry=registry,
        )
        self.batch_images = Histogram(
            "dcgan_batch_images", "Images in a batch.", model, buckets=_IMAGES, registry=registry
        )
        self.padding = Counter(
            "dcgan_padding_images", "Images made in vain to fill a batch.", model, registry=registry
        )
        self.queued = Gauge(
            "dcgan_queue_images", "Images that wait for an engine.", model, registry=registry
        )
        self.queued_requests = Gauge(
            "dcgan_queue_requests", "Pieces of work that are not settled.", model, registry=registry
        )
        self.unread = Gauge(
            "dcgan_unread_reply_bytes",
            "Replies to Generate that their clients have not taken yet.",
            registry=registry,
        )
        self.png = Gauge(
            "dcgan_png_images", "Images that are to be written as PNG.", model, registry=registry
        )
        self.queue_wait = Histogram(
            "dcgan_queue_wait_seconds",
            "Time until an engine starts.",
            model,
            buckets=_SECONDS,
            registry=registry,
        )
        self.compute = Histogram(
            "dcgan_compute_seconds",
            "Time of a batch on an engine.",
            model,
            buckets=_SECONDS,
            registry=registry,
        )
        self.info = Gauge(
            "dcgan_model_info",
            "Always 1.",
            ["model", "version", "digest", "provider", "agreement"],
            registry=registry,
        )

    async def watch_loop(self) -> None:
        """Measures, for ever, how much later than it asked a sleeper on the event loop wakes, and counts the tasks."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_LAG_INTERVAL_S)
            self.loop_lag.observe(time.perf_counter() - began - _LAG_INTERVAL_S)
            self.tasks.set(len(asyncio.all_tasks()))

    def of_method(self, method: str) -> MethodMetrics:
        """The series of one RPC method."""
        return MethodMetrics(self, method)

    def of_model(self, name: str) -> ModelMetrics:
        """The series of one model."""
        return ModelMetrics(self, name)


class _WorkCollector(Collector):
    """Says what became of all work, from the accounts of the batchers themselves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accounts: dict[str, Callable[[], Counts]] = {}
        registry.register(self)

    def add(self, model: str, account: Callable[[], Counts]) -> None:
        """Adds the account of a model."""
        self._accounts[model] = account

    def collect(self) -> Iterable[CounterMetricFamily]:
        """See Collector."""
        about = "Pieces of work: offered = accepted + rejected, accepted = ok + failed + cancelled + expired + waiting."
        family = CounterMetricFamily("dcgan_work", about, labels=["model", "outcome"])
        for model, account in self._accounts.items():
            counts = account()
            outcomes = {
                "offered": counts.offered,
                "accepted": counts.accepted,
                "rejected": counts.rejected,
            }
            for outcome, value in (
                outcomes | {state.value: n for state, n in counts.settled.items()}
            ).items():
                family.add_metric([model, outcome], value)
        yield family


class MethodMetrics:
    """The series of one RPC method, with their labels looked up once."""

    def __init__(self, metrics: Metrics, method: str) -> None:
        self.started = metrics.started.labels(method)
        self._handling = metrics.handling.labels(method)
        self._handled = {
            code: metrics.handled.labels(method, code.name) for code in grpc.StatusCode
        }

    def ended(self, code: grpc.StatusCode, seconds: float) -> None:
        """An RPC ended."""
        self._handled[code].inc()
        self._handling.observe(seconds)


class ModelMetrics:
    """The series of one model, with their labels looked up once."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._images = metrics.images.labels(name)
        self._batches = {
            why: metrics.batches.labels(name, why) for why in ("full", "idle", "gathered")
        }
        self._batch_images = metrics.batch_images.labels(name)
        self._padding = metrics.padding.labels(name)
        self._compute = metrics.compute.labels(name)
        self.queued = metrics.queued.labels(name)
        self.queued_requests = metrics.queued_requests.labels(name)
        self.png = metrics.png.labels(name)
        self.queue_wait = metrics.queue_wait.labels(name)

    def batch_started(self, reason: str, images: int, padding: int) -> None:
        """An engine takes a batch."""
        self._batches[reason].inc()
        self._batch_images.observe(images)
        self._padding.inc(padding)

    def batch_finished(self, images: int, seconds: float) -> None:
        """An engine has made a batch."""
        self._images.inc(images)
        self._compute.observe(seconds)


@dataclass
class MetricsServer:
    """The port that Prometheus reads."""

    metrics: Metrics
    host: str
    port: int
    _server: WSGIServer | None = field(default=None, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Opens the port, and puts the port that was chosen into `port` if it was 0.

        Raises:
            ServingError: if the port is taken.
        """
        try:
            self._server, self._thread = start_http_server(
                self.port, self.host.strip("[]"), self.metrics.registry
            )
        except OSError as error:
            problem = f"cannot listen on {join_address(self.host, self.port)} for metrics: {error.strerror}"
            raise ServingError(f"{problem}; choose another --metrics-port") from None
        self.port = self._server.server_port

    def stop(self) -> None:
        """Closes the port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
