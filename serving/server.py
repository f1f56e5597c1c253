"""One server process: start, readiness, watchdog and graceful drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from dcgan.core.processors import log_quota
from dcgan.serving.address import check_host, join_address
from dcgan.serving.api.call_watch import watch_port
from dcgan.serving.api.generation import Generation
from dcgan.serving.api.health import Readiness
from dcgan.serving.api.in_flight import InFlight
from dcgan.serving.api.listener import bind, create_grpc_server
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.api.sockets import disconnect_clients
from dcgan.serving.config import ServerConfig
from dcgan.serving.encoding.response_cache import ResponseCache
from dcgan.serving.errors import ServingError
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.releases import PinnedRelease, find_releases
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.observability.metrics_server import MetricsServer
from dcgan.serving.running_server import RunningServer
from dcgan.serving.shutdown import ShutdownRequest
from dcgan.serving.threads import run_in_daemon_thread
from dcgan.zoo.release import Release

if TYPE_CHECKING:
    from dcgan.serving.http.listener import HttpListener

_HTTP_CLOSE_S = 1.0  # for connections whose requests are done, or dropped

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
    if config.metrics_host is not None:
        check_host(config.metrics_host, "--metrics-host")
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        server = await _start_unless_stopped(start(config, metrics, stack, releases), shutdown)
        if server is None:
            return
        announce(server)

        lag = asyncio.create_task(metrics.watch_loop())
        stack.callback(lag.cancel)
        watchdog = asyncio.create_task(server.watch_engines(config.longest_batch_s))
        grpc_ended = asyncio.create_task(server.watch_grpc())
        drain_requested = asyncio.create_task(shutdown.drain.wait())
        await asyncio.wait(
            (drain_requested, watchdog, grpc_ended), return_when=asyncio.FIRST_COMPLETED
        )
        watchdog.cancel()  # it must not turn readiness on again
        if grpc_ended.done():
            server.readiness.shut_down()
            await grpc_ended  # raises why
        grpc_ended.cancel()

        drain_requested.cancel()

        await _drain(server, config, shutdown)
        disconnect_clients(server.port)
        await server.grpc_server.stop(None)
        with contextlib.suppress(asyncio.CancelledError):
            await watchdog


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
    # Look for the models before a port is opened, except for a download, which may take long.
    found = None if config.fetch_from else await _find_releases(config, releases)

    readiness = Readiness(SERVICE)
    readiness.set_ready(is_ready=False)
    metrics_server = _start_metrics_server(config, stack, readiness, metrics)
    generation = Generation(
        in_flight=InFlight(config.connection.limits),
        cache=ResponseCache(config.cache_bytes, metrics.registry),
    )
    service = GeneratorService(generation, metrics)
    server = create_grpc_server(config.connection, service, readiness, reuse_port=config.reuse_port)

    async def listen() -> tuple[int, HttpListener | None]:
        port = await _listen(server, config, stack)
        watching = asyncio.create_task(watch_port(generation.in_flight, port, metrics))
        stack.callback(watching.cancel)
        return port, await _listen_http(config, stack, generation, readiness, metrics)

    ports = None if config.reuse_port else await listen()
    if found is None:
        found = await _find_releases(config, releases)
    registry = ModelRegistry(await _load_models(config, metrics, stack, found))
    generation.open(registry)
    readiness.set_ready(is_ready=True)
    port, http = ports or await listen()

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


def _start_metrics_server(
    config: ServerConfig, stack: contextlib.AsyncExitStack, readiness: Readiness, metrics: Metrics
) -> MetricsServer:
    server = MetricsServer(
        metrics.registry,
        lambda: readiness.is_ready,
        config.metrics_host or config.host,
        config.metrics_port,
    )
    server.start()
    stack.callback(server.stop)
    return server


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

    # A server without HTTP starts sooner, and where uvicorn is not installed.
    from dcgan.serving.http.server import create_http_server  # noqa: PLC0415

    listener = create_http_server(
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


async def _drain(server: RunningServer, config: ServerConfig, shutdown: ShutdownRequest) -> None:
    """Finishes the requests that were admitted; drops them once an abort is requested."""
    reason = "shutting down" if shutdown.drain.is_set() else "an engine is stuck"
    logger.info(
        "%s: readiness is off, admitted requests have %s s to finish",
        reason,
        config.exit_timeout_s,
    )

    draining = asyncio.create_task(server.drain(config.drain_delay_s, config.exit_timeout_s))
    aborted = asyncio.create_task(shutdown.abort.wait())
    await asyncio.wait((draining, aborted), return_when=asyncio.FIRST_COMPLETED)
    if not draining.done():
        logger.warning("shutting down at once: unfinished requests are dropped")
        draining.cancel()
    aborted.cancel()


async def _find_releases(
    config: ServerConfig, pinned: Sequence[PinnedRelease] | None
) -> list[Release]:
    precision = config.models.precision
    if pinned is not None:
        return [release.open(precision) for release in pinned]
    return await run_in_daemon_thread(
        find_releases,
        config.model_repository,
        config.model,
        config.fetch_from,
        config.fetch_key,
        precision=precision,
    )


async def _load_models(
    config: ServerConfig,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    releases: Sequence[Release],
) -> list[ServedModel]:
    models: list[ServedModel] = []

    async def stop() -> None:
        await asyncio.gather(*(model.dispatcher.stop() for model in models))

    stack.push_async_callback(stop)
    for release in releases:
        models.append(await _load_model(release, config, metrics))
    return models


async def _load_model(release: Release, config: ServerConfig, metrics: Metrics) -> ServedModel:
    """Loads a model; gives up if it takes too long, because a graph or a device may hang."""
    try:
        async with asyncio.timeout(config.start_timeout_s) as limit:
            return await load_model(release, config.engine, config.models, metrics)
    except TimeoutError:
        if not limit.expired():
            raise
        raise ServingError(
            f"model {release.manifest.name} in {release.folder} is not ready after "
            f"{config.start_timeout_s:g} s; check the model and the device, "
            "or allow more time with --start-timeout-s"
        ) from None
