"""Several server processes on one port: `dcgan-serve --workers`.

The kernel spreads connections over the workers (SO_REUSEPORT). Each is a whole server, with its
engines, queues and metrics. They are spawned, not forked: gRPC and ONNX Runtime have threads, which
a fork would lose. The parent serves nothing: it starts the workers, restarts those that die, and
passes shutdown requests on. If the parent dies, they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcgan.core.processors import log_quota, processor_limits
from dcgan.serving.address import check_host, join_address
from dcgan.serving.config import ServerConfig
from dcgan.serving.engine.factory import choose_provider, share_processors
from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import find_releases, pin_release
from dcgan.serving.observability.log import LogConfig
from dcgan.serving.ready_file import ReadyReport
from dcgan.serving.shutdown import ShutdownRequest
from dcgan.serving.threads import run_in_daemon_thread
from dcgan.serving.worker_process import Worker

_MAX_PORT = 65535
_RESTART_DELAY_S = 1.0

logger = logging.getLogger(__name__)


async def supervise(
    config: ServerConfig, workers: int, log: LogConfig, announce: Callable[[ReadyReport], None]
) -> None:
    """Serves with several processes until SIGTERM or SIGINT; a second signal ends them at once.

    Args:
        config: of the server as a whole.
        workers: number of processes.
        log: how each writes its log.
        announce: called with the report of all workers when all are ready.

    Raises:
        DcganError: if the port is taken, or a worker cannot serve.
    """
    check_host(config.host)
    shutdown = ShutdownRequest()
    shutdown.listen_to_signals()
    log_quota()

    with contextlib.ExitStack() as reserved:
        config = _reserve_ports(config, reserved)
        team: list[Worker] = []
        starting = asyncio.create_task(_start(config, workers, log, team))
        drain_requested = asyncio.create_task(shutdown.drain.wait())

        try:
            await asyncio.wait((starting, drain_requested), return_when=asyncio.FIRST_COMPLETED)
            if not drain_requested.done():
                announce(_merge(config, await starting))
                await _restart_until(drain_requested, team)
        finally:
            drain_requested.cancel()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await _end(team, shutdown)


async def _start(
    config: ServerConfig, workers: int, log: LogConfig, team: list[Worker]
) -> list[ReadyReport]:
    """Decides what to serve, and starts the workers, which are added to `team`."""
    # A download may take long.
    releases = await run_in_daemon_thread(
        find_releases,
        config.model_repository,
        config.model,
        config.fetch_from,
        config.fetch_key,
        precision=config.models.precision,
    )

    pinned = [pin_release(release, config.models.precision) for release in releases]
    team += [Worker(each, pinned, log) for each in split_config(config, workers)]
    return await asyncio.gather(*(worker.start() for worker in team))


def split_config(config: ServerConfig, workers: int) -> list[ServerConfig]:
    """Returns the configuration of each worker: a share of the processors, and a metrics port.

    Raises:
        ServingError: if there are not enough ports.
    """
    if config.metrics_port + workers - 1 > _MAX_PORT:
        highest = _MAX_PORT - workers + 1
        raise ServingError(
            f"{workers} workers need one metrics port each; choose --metrics-port {highest} or less"
        )

    processors = max(1, processor_limits().usable // workers)
    engine = share_processors(config.engine, choose_provider(config.engine.device), processors)
    ports = [config.metrics_port + i if config.metrics_port else 0 for i in range(workers)]
    return [replace(config, engine=engine, metrics_port=port) for port in ports]


def reserve_port(host: str, port: int, option: str = "--port") -> socket.socket:
    """Returns a socket that holds a port for the workers without accepting connections.

    Args:
        host: address to listen on.
        port: to hold; 0 for any free port.
        option: that chooses the port, for the error message.

    Raises:
        ServingError: if the port is taken.
    """
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[
        0
    ]
    try:
        # Bind without SO_REUSEPORT first, which fails if any other process listens on the port.
        # SO_REUSEADDR ignores closed connections.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()

        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        problem = f"cannot listen on {join_address(host, port)}: {error.strerror}"
        raise ServingError(f"{problem}; choose another {option} or --host") from None
    return reserved


def _reserve_ports(config: ServerConfig, reserved: contextlib.ExitStack) -> ServerConfig:
    """Reserves the ports that the workers share; returns a configuration that names them."""
    held = reserved.enter_context(reserve_port(config.host, config.port))
    config = replace(config, port=held.getsockname()[1], reuse_port=True)
    if config.http is None:
        return config
    held = reserved.enter_context(reserve_port(config.host, config.http.port, "--http-port"))
    return replace(config, http=replace(config.http, port=held.getsockname()[1]))


async def _restart_until(stop: asyncio.Task[bool], team: Sequence[Worker]) -> None:
    """Restarts workers that die until `stop` is done."""
    restarters = [asyncio.create_task(keep_alive(worker)) for worker in team]
    await stop
    for restarter in restarters:
        restarter.cancel()
    # Wait for them, because `_end` waits for the same processes.
    await asyncio.gather(*restarters, return_exceptions=True)


async def keep_alive(worker: Worker) -> None:
    """Restarts a worker whenever it dies, until it is cancelled."""
    while True:
        logger.error("a worker ended with exit code %s; restarting it", await worker.wait())
        await asyncio.sleep(_RESTART_DELAY_S)
        try:
            await worker.start()
        except (ServingError, OSError) as error:  # e.g. the system has no room for a process now
            logger.error("a worker cannot be restarted: %s", error)
        else:
            logger.warning("a worker is ready again")


async def _end(team: Sequence[Worker], shutdown: ShutdownRequest) -> None:
    """Drains all workers, or aborts them if that is requested, and waits until they have ended."""
    for worker in team:
        worker.drain()

    ended = asyncio.gather(*(worker.wait() for worker in team))
    aborted = asyncio.create_task(shutdown.abort.wait())
    await asyncio.wait((ended, aborted), return_when=asyncio.FIRST_COMPLETED)

    if not ended.done():
        for worker in team:
            worker.abort()
    aborted.cancel()
    await ended


def _merge(config: ServerConfig, reports: Sequence[ReadyReport]) -> ReadyReport:
    """Merges the reports of the workers into that of the whole server."""
    return replace(
        reports[0],
        address=join_address(config.host, config.port),
        pid=os.getpid(),
        workers=len(reports),
        metrics_addresses=tuple(
            address for report in reports for address in report.metrics_addresses
        ),
    )
