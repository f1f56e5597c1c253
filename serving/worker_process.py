"""One worker: a server process under a parent, which talks to it through a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from dcgan.core import event_loop
from dcgan.core.errors import DcganError
from dcgan.serving.config import ServerConfig
from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import PinnedRelease
from dcgan.serving.observability.log import LogConfig, configure_logging
from dcgan.serving.ready_file import ReadyReport
from dcgan.serving.running_calls import exit_process, running_calls
from dcgan.serving.running_server import RunningServer
from dcgan.serving.server import run
from dcgan.serving.shutdown import SIGNALS, ShutdownRequest

_DRAIN = "drain"
_ABORT = "abort"
_HEARTBEAT = "heartbeat"
_HEARTBEAT_INTERVAL_S = 1.0
_HEARTBEAT_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


class Worker:
    """Handle of a worker process in its parent; it can be started again when it has ended.

    Args:
        config: of its server.
        releases: exactly what it serves, at each start.
        log: how it writes its log.
    """

    def __init__(
        self, config: ServerConfig, releases: Sequence[PinnedRelease], log: LogConfig
    ) -> None:
        self._config = config
        self._releases = releases
        self._log = log
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._is_ready = False

    @property
    def pid(self) -> int | None:
        """Process id; None before the first start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> ReadyReport:
        """Starts the process and waits until it is ready.

        Raises:
            ServingError: if it cannot serve, or ends without saying why.
        """
        self._is_ready = False
        context = multiprocessing.get_context("spawn")
        self._pipe, child_end = context.Pipe()
        # A daemon process is terminated by the interpreter if the parent ends by an error.
        self._process = context.Process(
            target=_main, args=(self._config, self._releases, self._log, child_end), daemon=True
        )
        with _blocked_signals():
            self._process.start()
        child_end.close()

        await _wait_readable(self._pipe.fileno())
        try:
            message = self._pipe.recv()
        except EOFError:
            raise ServingError(
                "a worker ended before it was ready; the log shows the cause"
            ) from None
        if not isinstance(message, ReadyReport):
            raise ServingError(str(message))
        self._is_ready = True
        return message

    async def wait(self) -> int | None:
        """Waits until the process has ended, and kills it if its heartbeat stops.

        Returns:
            Its exit code; None if it was never started.
        """
        if self._process is None:
            return None

        watch = asyncio.create_task(self._watch_heartbeat())
        try:
            await _wait_readable(self._process.sentinel)
        finally:
            watch.cancel()

        self._process.join()  # the sentinel may be ready slightly before the process has ended
        return self._process.exitcode

    def drain(self) -> None:
        """Asks the process to finish what it admitted, and to end."""
        self._send(_DRAIN)

    def abort(self) -> None:
        """Asks the process to end at once."""
        self._send(_ABORT)

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):  # it has ended
            if self._pipe is not None:
                self._pipe.send(message)

    async def _watch_heartbeat(self) -> None:
        """Kills the process when it has been silent for too long, e.g. because it was stopped."""
        silent_s = 0.0
        last_check = time.monotonic()
        while True:
            await asyncio.sleep(_HEARTBEAT_INTERVAL_S)
            now = time.monotonic()
            # Time in which this process was frozen itself says nothing about the worker.
            silent_s += min(now - last_check, 2 * _HEARTBEAT_INTERVAL_S)
            last_check = now

            if not self._is_ready or self._receive_heartbeats():
                silent_s = 0.0
            if silent_s > _HEARTBEAT_TIMEOUT_S and self._process is not None:
                logger.error(
                    "worker %s has not answered for %.0f s; killing it", self.pid, silent_s
                )
                self._process.kill()
                return

    def _receive_heartbeats(self) -> bool:
        """Returns whether heartbeats have arrived."""
        arrived = False
        with contextlib.suppress(EOFError, OSError):
            while self._pipe is not None and self._pipe.poll():
                self._pipe.recv()
                arrived = True
        return arrived


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Blocks the shutdown signals; a process that is started meanwhile inherits this."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def _wait_readable(file: int) -> None:
    """Waits until a file is readable or its other end is closed, without occupying a thread."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(file, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(file)


def _main(
    config: ServerConfig, releases: Sequence[PinnedRelease], log: LogConfig, pipe: Connection
) -> None:
    """Runs in the worker process."""
    configure_logging(log)
    code = 0
    try:
        event_loop.run(_serve(config, releases, pipe), config.event_loop)
    except DcganError as error:
        with contextlib.suppress(OSError):  # the parent has ended
            pipe.send(str(error))
        code = 2

    if running_calls():
        exit_process(code)
    sys.exit(code)


async def _serve(config: ServerConfig, releases: Sequence[PinnedRelease], pipe: Connection) -> None:
    shutdown = ShutdownRequest()
    loop = asyncio.get_running_loop()

    # A signal may be meant for the whole process group, so it counts as the same request as the
    # parent's message. Only the parent can abort.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGTERM, shutdown.drain.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def on_message() -> None:
        try:
            message = pipe.recv()
        except (EOFError, OSError):  # the parent has ended
            loop.remove_reader(pipe.fileno())
            message = _DRAIN
        shutdown.drain.set()
        if message == _ABORT:
            shutdown.abort.set()

    heartbeats: list[asyncio.Task[None]] = []

    def announce(server: RunningServer) -> None:
        pipe.send(server.report())
        heartbeats.append(loop.create_task(_send_heartbeats(pipe)))

    loop.add_reader(pipe.fileno(), on_message)
    try:
        await run(config, announce, shutdown, releases)
    finally:
        for task in heartbeats:
            task.cancel()


async def _send_heartbeats(pipe: Connection) -> None:
    """Sends heartbeats to the parent while the event loop runs."""
    while True:
        await asyncio.sleep(_HEARTBEAT_INTERVAL_S)
        # Never block on a parent that does not read.
        if select.select([], [pipe], [], 0)[1]:
            with contextlib.suppress(OSError):  # the parent has ended
                pipe.send(_HEARTBEAT)
