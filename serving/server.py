"""One server process: start, readiness, watchdog and graceful drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc

from dcgan.serving.address import check_host, join_address
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.listener import bind, create_grpc_server, disconnect_clients
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.config import ServerConfig
from dcgan.serving.engine.processors import log_quota
from dcgan.serving.http.front_door import open_front_door
from dcgan.serving.http.listener import HttpListener
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.releases import PinnedRelease, find_releases
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.observability.metrics_server import MetricsServer
from dcgan.serving.ready_file import ReadyModel, ReadyReport
from dcgan.serving.scheduling.errors import EngineStuckError
from dcgan.serving.shutdown import ShutdownRequest
from dcgan.serving.threads import run_in_daemon_thread

_WATCH_INTERVAL_S = 1.0
_HTTP_CLOSE_S = 1.0  # for connections whose requests are done, or dropped
_QUIET_S = 0.1  # without a new request, after which no more are expected in a drain
_QUIET_TIMEOUT_S = 1.0

logger = logging.getLogger(__name__)


async def run_until_signal(config: ServerConfig, announce: Callable[[RunningServer], None]) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once. See `run`."""
    shutdown = ShutdownRequest()
    shutdown.listen_to_signals()
    log_quota()
    await run(config, announce, shutdown)


async def run(
    config: ServerConfig,
    announce: Callable[[RunningServer], None],
    shutdown: ShutdownRequest,
    releases: Sequence[PinnedRelease] | None = None,
) -> None:
    """Serves until a shutdown is requested, then finishes the requests that were admitted.

    Args:
        config: what to serve, and where.
        announce: called with the server when it is ready.
        shutdown: when to drain, and when to abort.
        releases: exactly what to serve; None to find it by the configuration.

    Raises:
        DcganError: if a port is taken, a model cannot be served, or an engine is stuck permanently.
    """
    check_host(config.host)
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        server = await _start_unless_stopped(start(config, metrics, stack, releases), shutdown)
        if server is None:
            return
        announce(server)

        # Serve.
        lag = asyncio.create_task(metrics.watch_loop())
        stack.callback(lag.cancel)
        watchdog = asyncio.create_task(server.watch_engines(config.longest_batch_s))
        drain_requested = asyncio.create_task(shutdown.drain.wait())
        await asyncio.wait((drain_requested, watchdog), return_when=asyncio.FIRST_COMPLETED)
        watchdog.cancel()  # it must not turn readiness on again

        # Drain.
        reason = "shutting down" if shutdown.drain.is_set() else "an engine is stuck"
        logger.info(
            "%s: readiness is off, admitted requests have %s s to finish",
            reason,
            config.exit_timeout_s,
        )
        drain_requested.cancel()
        draining = asyncio.create_task(server.drain(config.drain_delay_s, config.exit_timeout_s))
        aborted = asyncio.create_task(shutdown.abort.wait())
        await asyncio.wait((draining, aborted), return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            logger.warning("shutting down at once: unfinished requests are dropped")
            draining.cancel()
        aborted.cancel()

        disconnect_clients(server.port)
        await server.grpc_server.stop(None)
        with contextlib.suppress(asyncio.CancelledError):
            await watchdog


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready.

    Attributes:
        address: "host:port" of gRPC.
        http_address: "host:port" of HTTP; None if it is left out.
        port: of gRPC.
        metrics_address: "host:port" of the metrics.
        registry: the models.
        generation: makes the images.
        readiness: the health service.
        grpc_server: the gRPC server.
    """

    address: str
    http_address: str | None
    port: int
    metrics_address: str
    registry: ModelRegistry
    generation: Generation
    readiness: Readiness
    grpc_server: grpc.aio.Server

    def report(self) -> ReadyReport:
        """Returns where it listens and what it serves."""
        return ReadyReport(
            address=self.address,
            http_address=self.http_address,
            pid=os.getpid(),
            metrics_addresses=(self.metrics_address,),
            models=tuple(self._describe(model) for model in self.registry.models),
        )

    async def watch_engines(self, longest_batch_s: float) -> None:
        """Checks the engines periodically.

        While one is stuck, readiness is off and requests are refused.

        Args:
            longest_batch_s: duration after which a run of an engine counts as stalled.

        Raises:
            ServingError: if an engine is stuck permanently.
        """
        is_healthy = True
        while True:
            await asyncio.sleep(min(longest_batch_s / 4, _WATCH_INTERVAL_S))
            was_healthy = is_healthy
            is_healthy = self.registry.check(longest_batch_s)
            if is_healthy and not was_healthy:
                logger.warning("all engines are healthy again: readiness is on")
                self.generation.open(self.registry)
            elif was_healthy and not is_healthy:
                self.generation.close(EngineStuckError)
            await self.readiness.set_ready(is_ready=is_healthy)

    async def drain(self, delay_s: float, timeout_s: float) -> None:
        """Turns readiness off, refuses new requests after a delay, and finishes the others.

        Args:
            delay_s: time in which requests are still admitted, for load balancers to notice.
            timeout_s: time that admitted requests have to finish.
        """
        await self.readiness.shut_down()
        await asyncio.sleep(delay_s)
        self.generation.close()
        in_flight = self.generation.in_flight
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(in_flight.wait_until_idle(), timeout_s)
        # Answer the requests that are on the way, so that their clients know when to retry.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(in_flight.wait_until_quiet(_QUIET_S), _QUIET_TIMEOUT_S)

    def _describe(self, model: ServedModel) -> ReadyModel:
        return ReadyModel(
            name=model.name,
            version=model.version,
            digest=model.file.sha256,
            default=model is self.registry.default,
            precision=model.file.precision,
            provider=model.provider,
            agreement=model.agreement.value,
        )


async def start(
    config: ServerConfig,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    releases: Sequence[PinnedRelease] | None = None,
) -> RunningServer:
    """Opens the ports, loads the models, and turns readiness on.

    A worker opens the ports of gRPC and HTTP last, because the kernel gives it connections from
    then on. A single server opens them first, so that a port that is taken is noticed before the
    models load.

    Args:
        config: what to serve, and where.
        metrics: of the server.
        stack: closes what was opened.
        releases: exactly what to serve; None to find it by the configuration.

    Raises:
        DcganError: if a port is taken, or a model cannot be served.
    """
    readiness = Readiness(SERVICE)
    await readiness.set_ready(is_ready=False)
    metrics_server = MetricsServer(
        metrics.registry,
        lambda: readiness.is_ready,
        config.metrics_host or config.host,
        config.metrics_port,
    )
    metrics_server.start()
    stack.callback(metrics_server.stop)

    generation = Generation(max_unread_bytes=config.connection.max_unread_bytes)
    service = GeneratorService(generation, metrics)
    server = create_grpc_server(config.connection, service, readiness, reuse_port=config.reuse_port)
    port = 0
    http = None
    if not config.reuse_port:
        port = await _listen(server, config, stack)
        http = await _listen_http(config, stack, generation, readiness, metrics)

    registry = ModelRegistry(await _load_models(config, metrics, stack, releases))
    generation.open(registry)
    await readiness.set_ready(is_ready=True)
    if config.reuse_port:
        port = await _listen(server, config, stack)
        http = await _listen_http(config, stack, generation, readiness, metrics)
    return RunningServer(
        address=join_address(config.host, port),
        http_address=None if http is None else join_address(config.host, http.port),
        port=port,
        metrics_address=join_address(config.metrics_host or config.host, metrics_server.port),
        registry=registry,
        generation=generation,
        readiness=readiness,
        grpc_server=server,
    )


async def _listen(
    server: grpc.aio.Server, config: ServerConfig, stack: contextlib.AsyncExitStack
) -> int:
    port = bind(server, config.host, config.port)
    await server.start()
    stack.push_async_callback(server.stop, None)
    return port


async def _listen_http(
    config: ServerConfig,
    stack: contextlib.AsyncExitStack,
    generation: Generation,
    readiness: Readiness,
    metrics: Metrics,
) -> HttpListener | None:
    if config.http is None:
        return None
    listener = open_front_door(
        config.http, config.host, generation, readiness, metrics, reuse_port=config.reuse_port
    )
    await listener.start()
    stack.push_async_callback(listener.stop, _HTTP_CLOSE_S)
    return listener


async def _start_unless_stopped(
    starting: Awaitable[RunningServer], shutdown: ShutdownRequest
) -> RunningServer | None:
    """Waits until the server is ready; returns None if a shutdown is requested before."""
    started = asyncio.ensure_future(starting)
    stopped = asyncio.create_task(shutdown.drain.wait())
    await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        stopped.cancel()
        return await started

    started.cancel()
    await asyncio.wait((started,))
    if not started.cancelled() and (error := started.exception()) is not None:
        raise error  # it had failed before the shutdown was requested
    return None


async def _load_models(
    config: ServerConfig,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    pinned: Sequence[PinnedRelease] | None,
) -> list[ServedModel]:
    models: list[ServedModel] = []

    async def stop() -> None:
        await asyncio.gather(*(model.dispatcher.stop() for model in models))

    stack.push_async_callback(stop)
    if pinned is None:
        # A download may take long.
        releases = await run_in_daemon_thread(
            find_releases,
            config.model_repository,
            config.model,
            config.fetch_from,
            precision=config.models.precision,
        )
    else:
        releases = [release.open(config.models.precision) for release in pinned]
    for release in releases:
        models.append(await load_model(release, config.engine, config.models, metrics))
    return models
