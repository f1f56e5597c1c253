"""The HTTP port of the metrics."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from dcgan.serving.address import join_address
from dcgan.serving.errors import ServingError
from dcgan.serving.observability.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


class MetricsServer:
    """Serves metrics to Prometheus.

    Args:
        metrics: of the server.
        host: address to listen on.
        port: to listen on; 0 for any free port.

    Attributes:
        port: the port that it listens on.
    """

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        self.port = port
        self._metrics = metrics
        self._host = host
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Opens the port.

        Raises:
            ServingError: if the port is taken.
        """
        try:
            self._server, self._thread = start_http_server(
                self.port, self._host.strip("[]"), self._metrics.registry
            )
        except OSError as error:
            address = join_address(self._host, self.port)
            raise ServingError(
                f"cannot listen on {address} for metrics: {error.strerror}; "
                "choose another --metrics-port"
            ) from None
        self.port = self._server.server_port

    def stop(self) -> None:
        """Closes the port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
