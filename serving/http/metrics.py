"""Prometheus metrics of HTTP. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

CLIENT_LEFT = 499
"""Status under which a request is counted whose client left before the response."""


class HttpMetrics:
    """The metrics of one HTTP server.

    Args:
        registry: in which they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "dcgan_http_connections", "Open HTTP connections.", registry=registry
        )
        self._started = Counter(
            "dcgan_http_started",
            "HTTP requests that began.",
            registry=registry,
        )

        self._requests = Counter(
            "dcgan_http_requests",
            "HTTP requests that ended, by kind of address and status: `unread` if refused before "
            "the address was known, 499 if the client left.",
            ["resource", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "dcgan_http_request_seconds",
            "Duration of an HTTP request, without the time to send the response.",
            ["resource"],
            buckets=_SECONDS,
            registry=registry,
        )

    def started(self) -> None:
        """Counts a request that begins."""
        self._started.inc()

    def refused(self, status: int) -> None:
        """Counts a request that was refused before its address was known.

        Args:
            status: of the response.
        """
        self._started.inc()
        self._requests.labels("unread", status).inc()

    def ended(self, resource: str, status: int, seconds: float) -> None:
        """Counts a request that ended.

        Args:
            resource: kind of address, one of a fixed set.
            status: of the response.
            seconds: since the request began.
        """
        self._requests.labels(resource, status).inc()
        self._seconds.labels(resource).observe(seconds)
