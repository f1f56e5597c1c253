"""One worker: a server process under a parent, which talks to it through a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from dcgan.core.errors import DcganError
from dcgan.serving.config import ServerConfig
from dcgan.serving.errors import ServingError
from dcgan.serving.observability.log import LogConfig, configure_logging
from dcgan.serving.ready_file import ReadyReport
from dcgan.serving.server import RunningServer, run
from dcgan.serving.shutdown import SIGNALS, ShutdownRequest

_DRAIN = "drain"
_ABORT = "abort"


class Worker:
    """A worker process as its parent sees it; it can be started again when it has ended.

    Args:
        config: of its server.
        log: how it writes its log.
    """

    def __init__(self, config: ServerConfig, log: LogConfig) -> None:
        self._config = config
        self._log = log
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Process id; None before the first start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> ReadyReport:
        """Starts the process and waits until it is ready.

        Raises:
            ServingError: if it cannot serve, or ends without saying why.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, child_end = context.Pipe()
        # A daemon process is terminated by the interpreter if the parent ends by an error.
        self._process = context.Process(
            target=_main, args=(self._config, self._log, child_end), daemon=True
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
        if isinstance(message, ReadyReport):
            return message
        raise ServingError(str(message))

    async def wait(self) -> int | None:
        """Waits until the process has ended; returns its exit code."""
        if self._process is None:
            return None
        await _wait_readable(self._process.sentinel)
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


def _main(config: ServerConfig, log: LogConfig, pipe: Connection) -> None:
    """Runs in the worker process."""
    configure_logging(log)
    try:
        asyncio.run(_serve(config, pipe))
    except DcganError as error:
        with contextlib.suppress(OSError):  # the parent has ended
            pipe.send(str(error))
        sys.exit(2)


async def _serve(config: ServerConfig, pipe: Connection) -> None:
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
    await run(config, announce, shutdown)
