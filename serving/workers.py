"""Several server processes on one port, when one event loop is not enough: `dcgan-serve --workers`.

The kernel spreads connections over them (SO_REUSEPORT). Each is a whole server, with engines, a queue and metrics of
its own. They are spawned, never forked: gRPC and ONNX Runtime have threads, and a fork would lose them. The parent
serves nothing: it starts them, starts anew what dies, and passes on what it is told. If it dies itself, they end too.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from dcgan.core.errors import DcganError
from dcgan.serving.address import check_host, join_address
from dcgan.serving.api.errors import ServingError
from dcgan.serving.engine.factory import choose_provider, share_processors
from dcgan.serving.observability.log import configure
from dcgan.serving.ready_file import ReadyReport
from dcgan.serving.server import RunningServer, ServerConfig, run

_LAST_PORT = 65535
_PAUSE_S = 1.0  # before a worker that died is started anew

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Logging:
    """How each process writes its log; see log.configure."""

    chosen: str
    level: str


class Worker:
    """A server process, or none at the moment.

    Args:
        config: of its server.
        log: how it writes its log.
    """

    def __init__(self, config: ServerConfig, log: Logging) -> None:
        self._config = config
        self._log = log
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    async def start(self) -> ReadyReport:
        """Starts the process and waits until it is ready.

        Raises:
            ServingError: if it says that it cannot serve, or ends without a word.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # A daemon, so that the interpreter ends it, should the parent come to its end by an error.
        self._process = context.Process(
            target=_work, args=(self._config, self._log, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            await _readable(self._pipe.fileno())
            told = self._pipe.recv()
        except EOFError:
            raise ServingError("a worker ended before it was ready; its log says why") from None
        if isinstance(told, ReadyReport):
            return told
        raise ServingError(str(told))

    async def ended(self) -> int | None:
        """Waits until the process has ended; gives its exit code."""
        if self._process is None:
            return None
        await _readable(self._process.sentinel)
        self._process.join()  # it may yet be at its last steps
        return self._process.exitcode

    def stop(self) -> None:
        """Tells the process to finish what it accepted; told again, to drop it."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()


async def supervise(
    config: ServerConfig, workers: int, log: Logging, announce: Callable[[ReadyReport], None]
) -> None:
    """Serves with several processes until SIGTERM or SIGINT; a second signal cuts the end short.

    Args:
        config: of each server, but for what they share.
        workers: how many.
        log: how each writes its log.
        announce: gets the report of all workers when all are ready.

    Raises:
        DcganError: if the port is taken, or a worker cannot serve.
    """
    check_host(config.host)
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, None)
    with reserve_port(config.host, config.port) as reserved:
        config = replace(config, port=reserved.getsockname()[1], reuse_port=True)
        team = [Worker(each, log) for each in share_out(config, workers)]
        starting = asyncio.gather(*(worker.start() for worker in team))
        told = asyncio.create_task(signals.get())
        await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            try:
                announce(_merge(config, await starting))
            except DcganError:
                await _end(team, signals)
                raise
            await _keep_up(team, told)
        starting.cancel()
        await _end(team, signals)


def share_out(config: ServerConfig, workers: int) -> list[ServerConfig]:
    """The configuration of each worker: an equal share of the processors, and a port for its metrics.

    Raises:
        ServingError: if there are not so many ports.
    """
    if config.metrics_port + workers - 1 > _LAST_PORT:
        highest = _LAST_PORT - workers + 1
        raise ServingError(
            f"{workers} workers need as many ports for metrics; choose --metrics-port {highest} or less"
        )
    processors = max(1, len(os.sched_getaffinity(0)) // workers)
    engine = share_processors(config.engine, choose_provider(config.engine.device), processors)
    ports = [config.metrics_port + i if config.metrics_port else 0 for i in range(workers)]
    return [replace(config, engine=engine, metrics_port=port) for port in ports]


def reserve_port(host: str, port: int) -> socket.socket:
    """A socket that holds a port for the workers, and takes no connections itself.

    Raises:
        ServingError: if the port is taken.
    """
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[
        0
    ]
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:  # this one shares with nobody
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # connections that have ended are nobody
            probe.bind(address)
            address = probe.getsockname()
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        problem = f"cannot listen on {join_address(host, port)}: {error.strerror}"
        raise ServingError(f"{problem}; choose another --port or --host") from None
    return reserved


async def _keep_up(team: Sequence[Worker], told: asyncio.Task[None]) -> None:
    """Starts anew what dies, until told to stop."""
    keepers = [asyncio.create_task(_keep(worker)) for worker in team]
    await told
    for keeper in keepers:
        keeper.cancel()
    await asyncio.gather(
        *keepers, return_exceptions=True
    )  # nobody else watches the processes from here on


async def _keep(worker: Worker) -> None:
    while True:
        logger.error("a worker ended with exit code %s; it is started anew", await worker.ended())
        await asyncio.sleep(_PAUSE_S)
        try:
            await worker.start()
        except (
            ServingError,
            OSError,
        ) as error:  # the system may have no room for a process just now
            logger.error("a worker cannot be started anew: %s", error)
        else:
            logger.warning("a worker is ready again")


async def _readable(file: int) -> None:
    """Waits until there is something to read, or the other end is no more; without a thread, of which there are few."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(file, heard.set)
    try:
        await heard.wait()
    finally:
        loop.remove_reader(file)


async def _end(team: Sequence[Worker], signals: asyncio.Queue[None]) -> None:
    for worker in team:
        worker.stop()
    ended = asyncio.gather(*(worker.ended() for worker in team))
    while not ended.done():
        again = asyncio.create_task(signals.get())
        await asyncio.wait((ended, again), return_when=asyncio.FIRST_COMPLETED)
        if again.done():
            for worker in team:
                worker.stop()
        again.cancel()


def _merge(config: ServerConfig, reports: Sequence[ReadyReport]) -> ReadyReport:
    """Joins the reports of the workers to that of the whole server."""
    return replace(
        reports[0],
        address=join_address(config.host, config.port),
        pid=os.getpid(),
        workers=len(reports),
        metrics_addresses=tuple(
            address for report in reports for address in report.metrics_addresses
        ),
    )


def _work(config: ServerConfig, log: Logging, pipe: Connection) -> None:
    """What a worker process does."""
    configure(log.chosen, log.level)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches it too; the parent says what is to be done

    def follow() -> None:
        try:
            pipe.recv()
        except EOFError:  # the parent is no more
            os.kill(os.getpid(), signal.SIGTERM)

    def announce(server: RunningServer) -> None:
        pipe.send(server.report())

    threading.Thread(target=follow, name="parent", daemon=True).start()
    try:
        asyncio.run(run(config, announce, (signal.SIGTERM,)))
    except DcganError as error:
        pipe.send(str(error))
        sys.exit(2)
