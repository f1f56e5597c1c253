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
from dataclasses import replace
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
_FIRST_HEARTBEAT_TIMEOUT_S = 60.0  # a process imports everything before it

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
        self._silence = _Silence()

    @property
    def pid(self) -> int | None:
        """Process id; None before the first start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> ReadyReport:
        """Starts the process and waits until it is ready.

        Raises:
            ServingError: if it cannot be started or cannot serve, stops answering, or ends without
                saying why.
        """
        try:
            self._process, self._pipe = self._spawn()
        except OSError as error:  # e.g. the system has no room for another process now
            raise ServingError(
                f"cannot start a worker process: {error.strerror}; "
                "use fewer --workers, or raise the limits of this system"
            ) from None

        self._silence = _Silence()
        watch = asyncio.create_task(self._kill_if_silent())
        try:
            message = await self._receive_report(self._pipe)
        except (EOFError, OSError):
            raise ServingError(
                "a worker ended before it was ready; the log shows the cause"
            ) from None
        finally:
            watch.cancel()
        if not isinstance(message, ReadyReport):
            raise ServingError(str(message))

        # When it is started again, its metrics are where this report says.
        _, _, metrics_port = message.metrics_addresses[0].rpartition(":")
        self._config = replace(self._config, metrics_port=int(metrics_port))
        return message

    async def wait(self) -> int | None:
        """Waits until the process has ended, and kills it if its heartbeat stops.

        Returns:
            Its exit code; None if it was never started.
        """
        if self._process is None:
            return None

        watch = asyncio.create_task(self._watch_heartbeats())
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

    def _spawn(self) -> tuple[SpawnProcess, Connection]:
        """Starts a process; returns it, and the end of its pipe."""
        context = multiprocessing.get_context("spawn")
        pipe, child_end = context.Pipe()
        # A daemon process is terminated by the interpreter if the parent ends by an error.
        process = context.Process(
            target=_main, args=(self._config, self._releases, self._log, child_end), daemon=True
        )
        try:
            with _blocked_signals():
                process.start()
        except OSError:
            pipe.close()
            raise
        finally:
            child_end.close()
        return process, pipe

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):  # it has ended
            if self._pipe is not None:
                self._pipe.send(message)

    async def _receive_report(self, pipe: Connection) -> object:
        """Waits for the first message that is no heartbeat."""
        while True:
            await _wait_readable(pipe.fileno())
            message = pipe.recv()
            self._silence.end()
            if message != _HEARTBEAT:
                return message

    async def _watch_heartbeats(self) -> None:
        """Receives heartbeats, and kills the process when it has been silent for too long."""
        watch = asyncio.create_task(self._kill_if_silent())
        try:
            while True:
                await asyncio.sleep(_HEARTBEAT_INTERVAL_S)
                if self._receive_heartbeats():
                    self._silence.end()
        finally:
            watch.cancel()

    async def _kill_if_silent(self) -> None:
        """Kills the process when it has been silent for too long, e.g. because it was stopped."""
        while not self._silence.is_too_long():
            await asyncio.sleep(_HEARTBEAT_INTERVAL_S)
        if self._process is not None:
            logger.error(
                "worker %s has not answered for %.0f s; killing it",
                self.pid,
                self._silence.seconds,
            )
            self._process.kill()

    def _receive_heartbeats(self) -> bool:
        """Returns whether heartbeats have arrived."""
        arrived = False
        with contextlib.suppress(EOFError, OSError):
            while self._pipe is not None and self._pipe.poll():
                self._pipe.recv()
                arrived = True
        return arrived


class _Silence:
    """Time since the last message of a worker.

    Time in which this process was frozen itself says nothing about the worker and does not count.

    Attributes:
        seconds: the time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last_look = time.monotonic()
        self._has_ended = False

    def is_too_long(self) -> bool:
        """Looks at the clock; to be called every _HEARTBEAT_INTERVAL_S."""
        now = time.monotonic()
        self.seconds += min(now - self._last_look, 2 * _HEARTBEAT_INTERVAL_S)
        self._last_look = now
        limit_s = _HEARTBEAT_TIMEOUT_S if self._has_ended else _FIRST_HEARTBEAT_TIMEOUT_S
        return self.seconds > limit_s

    def end(self) -> None:
        """Begins anew: a message has arrived."""
        self.seconds = 0.0
        self._has_ended = True


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

    def announce(server: RunningServer) -> None:
        pipe.send(server.report())

    loop.add_reader(pipe.fileno(), on_message)
    heartbeats = loop.create_task(_send_heartbeats(pipe))
    try:
        await run(config, announce, shutdown, releases)
    finally:
        heartbeats.cancel()


async def _send_heartbeats(pipe: Connection) -> None:
    """Sends heartbeats to the parent while the event loop runs."""
    while True:
        # Never block on a parent that does not read.
        if select.select([], [pipe], [], 0)[1]:
            with contextlib.suppress(OSError):  # the parent has ended
                pipe.send(_HEARTBEAT)
        await asyncio.sleep(_HEARTBEAT_INTERVAL_S)
