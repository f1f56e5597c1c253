"""The HTTP server: uvicorn on the event loop that gRPC runs on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator

import uvicorn

from dcgan.serving.address import join_address
from dcgan.serving.errors import ServingError
from dcgan.serving.http.app import HttpApp
from dcgan.serving.http.config import HttpConfig
from dcgan.serving.http.metrics import HttpMetrics
from dcgan.serving.http.protocol import create_protocol

_BACKLOG = 1024
_POLL_S = 0.01


class HttpListener:
    """Listens on a port and answers with an application.

    Args:
        app: answers requests.
        config: how HTTP is served.
        metrics: of HTTP.
        host: address to listen on.
        reuse_port: whether other workers listen on the same port.

    Raises:
        ServingError: if the port is taken, or the address is not one of this machine.
    """

    def __init__(
        self, app: HttpApp, config: HttpConfig, metrics: HttpMetrics, host: str, *, reuse_port: bool
    ) -> None:
        self._socket = _bind(host, config.port, reuse_port=reuse_port)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                app,
                http=create_protocol(config, metrics, app.record_refusal),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=round(config.idle_timeout_s) + 1,
                backlog=_BACKLOG,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to accept connections."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(_POLL_S)

    async def stop(self, timeout_s: float) -> None:
        """Closes the port, and the connections once they have had their responses.

        Args:
            timeout_s: time after which connections are dropped.
        """
        if self._task is None:
            self._socket.close()
            return

        self._server.should_exit = True
        done, _ = await asyncio.wait((self._task,), timeout=timeout_s)
        if not done:
            self._server.force_exit = True
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait((self._task,))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    address = (host.strip("[]"), port)
    family, _, _, _, resolved = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    # As gRPC and the metrics port do, take clients of IPv4 at the address that stands for all.
    is_dual = resolved[0] == "::" and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server(
            address, family=family, reuse_port=reuse_port, dualstack_ipv6=is_dual
        )
    except OSError as error:
        problem = os.strerror(error.errno or 0)
        raise ServingError(
            f"cannot listen on {join_address(host, port)} for HTTP: {problem}; "
            "choose another --http-port, or leave HTTP out with --no-http"
        ) from None

    # Accepted sockets inherit this. asyncio sets it only on sockets whose protocol was named, and
    # without it a response whose body follows its head waits 40 ms for a delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)
    return listening
