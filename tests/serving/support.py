"""Helpers for tests of server processes."""

import time
from collections.abc import Callable
from pathlib import Path

import grpc
from click.testing import CliRunner
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from dcgan.core.signals import ECHO_S
from dcgan.serving.cli.serve import main

SERVICE = "dcgan.v1.GeneratorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

UNCHECKED = """
from dcgan.serving.models import loader
loader.check_onnx_file = lambda path, manifest, content: None
"""
"""Code to run in front of a server, which then loads graphs that are not safe."""


def refuse_to_start(repository: Path, *options: str) -> str:
    """Starts a server that must not start, and gives its one sentence."""
    ports = ["--port", "0", "--metrics-port", "0"]
    result = CliRunner().invoke(main, ["--model-repository", str(repository), *ports, *options])
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    return result.stderr


def poll(holds: Callable[[], bool]) -> None:
    """Waits until something holds, a minute at most."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def stop_at_once(server) -> None:
    """Sends a draining server its second signal, when that is no echo of the first any more."""
    ends = time.monotonic() + 1.1 * ECHO_S
    poll(lambda: time.monotonic() > ends)
    server.process.terminate()
    assert server.process.wait(timeout=30) == 0


def is_ready(server) -> bool:
    with grpc.insecure_channel(server.target) as channel:
        return (
            HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE)).status
            == SERVING
        )
