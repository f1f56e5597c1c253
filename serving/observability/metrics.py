"""Prometheus metrics of the server.

Units are base units. No label has unbounded values: no seed, no client, no name that a request made
up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_MILLISECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
_SECONDS = tuple(milliseconds / 1000 for milliseconds in _MILLISECONDS)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_LAG_INTERVAL_S = 0.25


class Metrics:
    """All metrics of a server, in a registry that no other code uses."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._add_call_metrics()
        self._add_process_metrics()
        self._add_model_metrics()

    async def watch_loop(self) -> None:
        """Measures the lag of the event loop and counts its tasks, until it is cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_LAG_INTERVAL_S)
            self.loop_lag.observe(time.perf_counter() - began - _LAG_INTERVAL_S)
            self.tasks.set(len(asyncio.all_tasks()))

    def of_method(self, service: str, method: str, kind: str) -> MethodMetrics:
        """Returns the metrics of one RPC method; see MethodMetrics."""
        return MethodMetrics(self, service, method, kind)

    def of_model(self, name: str) -> ModelMetrics:
        """Returns the metrics of one model."""
        return ModelMetrics(self, name)

    def _add_call_metrics(self) -> None:
        registry = self.registry
        method = ["grpc_type", "grpc_service", "grpc_method"]  # as in go-grpc-middleware
        self.started = Counter("grpc_server_started", "RPCs that began.", method, registry=registry)
        self.handled = Counter(
            "grpc_server_handled",
            "RPCs that ended, by status code.",
            [*method, "grpc_code"],
            registry=registry,
        )
        self.handling = Histogram(
            "grpc_server_handling_seconds",
            "Duration of an RPC.",
            method,
            buckets=_SECONDS,
            registry=registry,
        )

        self.rejected = Counter(
            "dcgan_rejected", "Requests refused, by reason.", ["reason"], registry=registry
        )
        self.postprocess = Histogram(
            "dcgan_postprocess_seconds",
            "Time to encode images into a reply.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.unread = Gauge(
            "dcgan_unread_reply_bytes",
            "Memory of replies that clients have not read yet.",
            registry=registry,
        )
        self.open_calls = Gauge(
            "dcgan_open_calls",
            "Calls whose clients have not read the last byte.",
            registry=registry,
        )
        self.open_streams = Gauge("dcgan_open_streams", "Streams among them.", registry=registry)
        self.dropped = Counter(
            "dcgan_dropped_connections",
            "Connections that were closed because their clients did not read, or because they were "
            "idle and above the share of their address.",
            registry=registry,
        )

    def _add_process_metrics(self) -> None:
        registry = self.registry
        ProcessCollector(registry=registry)  # memory, processor time, open files
        self.loop_lag = Histogram(
            "dcgan_event_loop_lag_seconds",
            "Lag of the event loop.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.tasks = Gauge("dcgan_event_loop_tasks", "Tasks of the event loop.", registry=registry)

    def _add_model_metrics(self) -> None:
        registry = self.registry
        model = ["model"]
        self.work = WorkCollector(registry)
        self.images = Counter("dcgan_images", "Images made.", model, registry=registry)
        self.batches = Counter(
            "dcgan_batches",
            "Batches by why they started: "
            "full, idle (the engine was free) or gathered (while it was busy).",
            ["model", "dispatch_reason"],
            registry=registry,
        )
        self.batch_images = Histogram(
            "dcgan_batch_images", "Images in a batch.", model, buckets=_IMAGES, registry=registry
        )
        self.padding = Counter(
            "dcgan_padding_images", "Padding images added to batches.", model, registry=registry
        )

        self.queued = Gauge(
            "dcgan_queue_images", "Images that wait for an engine.", model, registry=registry
        )
        self.queued_requests = Gauge(
            "dcgan_queue_requests", "Work items that are not settled.", model, registry=registry
        )
        self.png = Gauge(
            "dcgan_png_images", "Images to be encoded as PNG.", model, registry=registry
        )

        self.queue_wait = Histogram(
            "dcgan_queue_wait_seconds",
            "Time until an engine starts on a work item.",
            model,
            buckets=_SECONDS,
            registry=registry,
        )
        self.compute = Histogram(
            "dcgan_compute_seconds",
            "Duration of a batch on an engine.",
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


class WorkCollector(Collector):
    """Reads the number of work items by outcome from the queues themselves.

    Args:
        registry: to register with.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters: dict[str, Callable[[], Mapping[str, int]]] = {}
        registry.register(self)

    def add(self, model: str, counters: Callable[[], Mapping[str, int]]) -> None:
        """Adds a model.

        Args:
            model: name of the model.
            counters: returns the number of work items by outcome.
        """
        self._counters[model] = counters

    def collect(self) -> Iterable[CounterMetricFamily]:
        """See Collector."""
        family = CounterMetricFamily(
            "dcgan_work",
            "Work items: offered = accepted + rejected, "
            "accepted = ok + failed + cancelled + expired + waiting.",
            labels=["model", "outcome"],
        )

        for model, counters in self._counters.items():
            for outcome, value in counters().items():
                family.add_metric([model, outcome], value)
        yield family


class MethodMetrics:
    """Metrics of one RPC method, with their labels resolved once.

    Args:
        metrics: of the server.
        service: full name of the service.
        method: name of the method.
        kind: "unary" or "server_stream".

    Attributes:
        started: number of RPCs that began.
    """

    def __init__(self, metrics: Metrics, service: str, method: str, kind: str) -> None:
        labels = (kind, service, method)
        self.started = metrics.started.labels(*labels)
        self._handling = metrics.handling.labels(*labels)
        self._handled = {
            code: metrics.handled.labels(*labels, code.name) for code in grpc.StatusCode
        }

    def ended(self, code: grpc.StatusCode, seconds: float) -> None:
        """Records the end of an RPC."""
        self._handled[code].inc()
        self._handling.observe(seconds)


class ModelMetrics:
    """Metrics of one model, with their labels resolved once.

    Args:
        metrics: of the server.
        name: of the model.

    Attributes:
        queued: images that wait for an engine.
        queued_requests: work items that are not settled.
        png: images to be encoded as PNG.
        queue_wait: time until an engine starts on a work item.
    """

    def __init__(self, metrics: Metrics, name: str) -> None:
        self.queued = metrics.queued.labels(name)
        self.queued_requests = metrics.queued_requests.labels(name)
        self.png = metrics.png.labels(name)
        self.queue_wait = metrics.queue_wait.labels(name)

        self._images = metrics.images.labels(name)
        self._batches = {
            reason: metrics.batches.labels(name, reason) for reason in ("full", "idle", "gathered")
        }
        self._batch_images = metrics.batch_images.labels(name)
        self._padding = metrics.padding.labels(name)
        self._compute = metrics.compute.labels(name)

    def batch_started(self, reason: str, images: int, padding: int) -> None:
        """Records that an engine has started on a batch."""
        self._batches[reason].inc()
        self._batch_images.observe(images)
        self._padding.inc(padding)

    def batch_finished(self, images: int, seconds: float) -> None:
        """Records that an engine has made a batch."""
        self._images.inc(images)
        self._compute.observe(seconds)
