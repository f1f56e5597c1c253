"""What benchmarks of serving share: servers to be measured, the load on them, and the machine that they run on."""

from __future__ import annotations

import asyncio
import datetime
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import grpc
from serving_models import IMAGE_SIZE

from dcgan.core.hardware import processor_family, processor_name
from dcgan.core.onnx_session import CPU
from dcgan.serving.launch import launch_server
from dcgan.serving.load_test import LoadTestConfig, LoadTestReport, run_load_test
from dcgan.serving.ready_file import ReadyReport, write_ready_file
from dcgan.v1 import generator_pb2 as pb

LIBRARIES = ("grpcio", "numpy", "onnxruntime-gpu", "protobuf")
ECHO = [sys.executable, "-c", "import asyncio, servers; asyncio.run(servers.echo())"]
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
    """The command line of a dcgan-serve for a repository."""
    return [*SERVE, "--model-repository", str(repository), *options]


def split(repository: Path, name: str) -> Path:
    """A repository with one of the models."""
    alone = repository / f"only-{name}"
    if not alone.exists():
        alone.mkdir()
        (alone / name).symlink_to(repository / name)
    return alone


def load(target: str, *, n: int, callers: int, seconds: float) -> LoadTestReport:
    return asyncio.run(run_load_test(config(target, n=n, callers=callers, seconds=seconds)))


def config(target: str, *, n: int, callers: int, seconds: float) -> LoadTestConfig:
    return LoadTestConfig(
        targets=(target,), sizes=((n, 1.0),), concurrency=callers, duration_s=seconds, warmup_s=0.5
    )


async def echo() -> None:
    """A bare grpc.aio server with replies of the same size."""

    async def generate(request: pb.GenerateRequest, _: object) -> pb.GenerateResponse:
        return pb.GenerateResponse(
            pixels=bytes(IMAGE_SIZE * IMAGE_SIZE * 3 * request.n), n=request.n
        )

    async def get_model(_: object, __: object) -> pb.GetModelResponse:
        return pb.GetModelResponse()

    unary = grpc.unary_unary_rpc_method_handler
    table = {
        "Generate": unary(
            generate, pb.GenerateRequest.FromString, pb.GenerateResponse.SerializeToString
        ),
        "GetModel": unary(
            get_model, pb.GetModelRequest.FromString, pb.GetModelResponse.SerializeToString
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("dcgan.v1.GeneratorService", table),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    write_ready_file(Path(sys.argv[-1]), ReadyReport(address=f"127.0.0.1:{port}", pid=os.getpid()))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(None)


def describe_machine() -> dict[str, object]:
    return {
        "processor": processor_name(),
        "family": processor_family(CPU),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
