"""Servers to be measured, load on them, and a description of the machine."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from dcgan.core import event_loop
from dcgan.core.hardware import processor_family, processor_name
from dcgan.core.onnx_session import CPU
from dcgan.serving.launch import launch_server
from dcgan.serving.load_test import LoadTestConfig, LoadTestReport, run_load_test

LIBRARIES = ("grpcio", "numpy", "onnxruntime-gpu", "protobuf")
ECHO = [sys.executable, "echo_server.py"]
SERVE = [
    sys.executable,
    "-c",
    "from dcgan.serving.cli.serve import main; main()",
    "--port",
    "0",
    "--metrics-port",
    "0",
    "--no-http",
]


@contextmanager
def started(command: list[str]) -> Iterator[tuple[str, float]]:
    """A server: its address, and the seconds it took to be ready."""
    with launch_server(command, cwd=Path(__file__).parent) as server:
        yield server.address, server.ready_s


def serving(repository: Path, *options: str) -> list[str]:
    """Returns the command line of a dcgan-serve for a repository."""
    return [*SERVE, "--model-repository", str(repository), *options]


def split(repository: Path, name: str) -> Path:
    """A repository with one of the models."""
    alone = repository / f"only-{name}"
    if not alone.exists():
        alone.mkdir()
        (alone / name).symlink_to(repository / name)
    return alone


def load(target: str, *, n: int, callers: int, seconds: float) -> LoadTestReport:
    """Puts load on a server for some seconds."""
    return event_loop.run(run_load_test(config(target, n=n, callers=callers, seconds=seconds)))


def config(target: str, *, n: int, callers: int, seconds: float) -> LoadTestConfig:
    """Returns the configuration of a closed loop with requests of one size."""
    return LoadTestConfig(
        targets=(target,), sizes=((n, 1.0),), concurrency=callers, duration_s=seconds, warmup_s=0.5
    )


def describe_machine() -> dict[str, object]:
    """Returns the processor and the versions of the libraries."""
    return {
        "processor": processor_name(),
        "family": processor_family(CPU),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
