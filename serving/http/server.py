"""Creates the HTTP server of one process: service, application and listener."""

from __future__ import annotations

from dataclasses import replace

from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.file_limit import raise_file_limit
from dcgan.serving.http.app import HttpApp
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.service import HttpService
from dcgan.serving.http.site import load_site
from dcgan.serving.observability.metrics import Metrics


def create_http_server(
    config: HttpConfig,
    host: str,
    generation: Generation,
    readiness: Readiness,
    metrics: Metrics,
    *,
    reuse_port: bool,
) -> HttpListener:
    """Opens the HTTP port. Requests are answered once the listener is started.

    Args:
        config: how HTTP is served.
        host: address to listen on.
        generation: makes the images, for gRPC as well.
        readiness: whether the server is ready.
        metrics: of the server.
        reuse_port: whether other workers listen on the same port.

    Raises:
        ServingError: if the port is taken, or the address is not one of this machine.
    """
    # Idle connections to HTTP must leave files for gRPC.
    most = min(config.max_connections, raise_file_limit() // 2)
    config = replace(config, max_connections=most)

    service = HttpService(generation, readiness, load_site())
    http_metrics = HttpMetrics(metrics.registry)
    app = HttpApp(
        service.respond,
        config,
        http_metrics,
        generation.in_flight,
        count_refusal=lambda reason: metrics.rejected.labels(reason).inc(),
        is_draining=lambda: not readiness.is_ready,
    )
    return HttpListener(app, config, http_metrics, host, reuse_port=reuse_port)
