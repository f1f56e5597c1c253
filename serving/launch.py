"""Starting a server as a child process, for tests, benchmarks and the demo."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.errors import DcganError
from dcgan.serving.ready_file import ReadyReport, read_ready_file

_POLL_S = 0.01


class NotReadyError(DcganError):
    """A server that ended, or took too long, before it was ready."""


@dataclass(frozen=True)
class LaunchedServer:
    """A server process that is ready.

    Attributes:
        process: the child process.
        report: what its ready file says.
        ready_s: time from its start until it was ready, in seconds.
    """

    process: subprocess.Popen[str]
    report: ReadyReport
    ready_s: float

    @property
    def address(self) -> str:
        """Address of its gRPC port, as `host:port`."""
        return self.report.address


@contextmanager
def launch_server(
    command: Sequence[str],
    *,
    timeout_s: float = 300.0,
    stop_timeout_s: float = 120.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[LaunchedServer]:
    """Starts a server, waits until it is ready, and stops it with SIGTERM when the block ends.

    A server that does not end then is killed.

    Args:
        command: command line of a server; `--ready-file` is added to it.
        timeout_s: time that it has to become ready.
        stop_timeout_s: time that it has to end.
        cwd: its working folder; None for that of this process.
        env: its environment; None for that of this process.
        stdout: as for `subprocess.Popen`.
        stderr: as for `subprocess.Popen`.

    Raises:
        NotReadyError: if it ends before it is ready, or is not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="dcgan-") as folder:
        ready_file = Path(folder, "ready.json")
        started = time.perf_counter()

        with subprocess.Popen(
            [*command, "--ready-file", str(ready_file)],
            cwd=cwd,
            env=env,
            stdout=stdout,
            stderr=stderr,
            text=True,
        ) as process:
            try:
                report = wait_until_ready(process, ready_file, timeout_s)
                yield LaunchedServer(process, report, time.perf_counter() - started)
            finally:
                _stop(process, stop_timeout_s)


def _stop(process: subprocess.Popen[str], timeout_s: float) -> None:
    """Ends a server, by force if it must be."""
    process.terminate()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()  # a full one would keep it from ending
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()


def wait_until_ready(
    process: subprocess.Popen[str], ready_file: Path, timeout_s: float = 300.0
) -> ReadyReport:
    """Waits until a server has written its ready file.

    Args:
        process: the server.
        ready_file: what it was given as `--ready-file`.
        timeout_s: time to wait.

    Raises:
        NotReadyError: as soon as the process ends, or if it is not ready in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        report = read_ready_file(ready_file)
        if report is not None:
            return report
        if time.monotonic() > deadline:
            raise NotReadyError(f"the server was not ready within {timeout_s:g} s")

        try:
            code = process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        raise NotReadyError(f"the server ended with exit code {code} before it was ready")
