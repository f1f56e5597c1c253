"""Tiny models in real model folders, and real servers that serve them."""

import functools
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from dcgan.core import noise
from dcgan.serving.api.service import SERVICE, GeneratorService
from dcgan.serving.client import Client
from dcgan.serving.launch import launch_server
from dcgan.serving.ready_file import ReadyReport
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.support import UNCHECKED
from tests.serving.tiny_models import (
    LATENT_SIZE,
    Network,
    publish_model,
    run_model,
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A dcgan-serve that is ready."""

    process: subprocess.Popen
    report: ReadyReport
    metrics: str
    ready_line: str
    log: list[str] = field(
        default_factory=list
    )  # what it wrote on standard error, once it has ended

    @property
    def target(self) -> str:
        return self.report.address

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://{self.report.http_address}"

    def split(self) -> list["Server"]:
        """The server once for each of its workers, with the metrics of that one."""
        return [
            replace(self, metrics=metrics_url(address)) for address in self.report.metrics_addresses
        ]


NETWORKS = {
    "tiny": Network(),
    "classy": Network(classes=3, channels=1),
    "slow": Network(layers=100),
    "poisoned": Network(poisoned=True),
}


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """Every one of NETWORKS, and an older version of `tiny`."""
    folder = tmp_path_factory.mktemp("repository")
    publish_model(folder, "tiny", 1, Network(seed=1))
    for name, network in NETWORKS.items():
        publish_model(folder, name, 2, network)
    return folder


@pytest.fixture(scope="session")
def only(repository, tmp_path_factory):
    """A repository with one of the models, which starts faster: a function of its name."""

    @functools.cache
    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(repository / name / "2", folder / name / "2")
        return folder

    return copy


@pytest.fixture
def copied(repository, tmp_path):
    """A repository of its own with the model `tiny`, to be damaged."""
    shutil.copytree(repository / "tiny" / "2", tmp_path / "tiny" / "2")
    return tmp_path


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A repository with one model of such large images that 13 fit in a message."""
    folder = tmp_path_factory.mktemp("large")
    publish_model(folder, "large", 1, Network(tiles=40))
    return folder


@pytest.fixture(scope="session")
def endless(tmp_path_factory) -> Path:
    """A repository with a model that may hang; a server takes it only if it is `unchecked`."""
    folder = tmp_path_factory.mktemp("endless")
    publish_model(folder, "endless", 2, Network(endless=True))
    return folder


@pytest.fixture(scope="session")
def server(repository) -> Iterator[Server]:
    with serve(repository, "--model", "tiny", "--no-http-access-log") as running:
        yield running


@pytest.fixture(scope="session")
def start_server():
    """The function `serve`."""
    return serve


@pytest.fixture(scope="session")
def answering():
    """A context manager that runs a service in this process and gives a stub of it.

    Its second argument is the options of the stub's channel.
    """

    @asynccontextmanager
    async def serve_here(
        service: GeneratorService, options: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[GeneratorServiceStub]:
        server = grpc.aio.server()
        server.add_registered_method_handlers(SERVICE, service.handlers())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield GeneratorServiceStub(channel)
        await server.stop(None)

    return serve_here


@pytest.fixture(scope="session")
def run():
    """What a model folder makes of z: the function `run_model`."""
    return lambda folder, z: run_model(folder / "generator.onnx", z)


@pytest.fixture(scope="session")
def expected(repository):
    """What a server must return, computed without it, by model, seed, indices and label."""

    def compute(name: str, seed: int, indices, label: int | None = None) -> np.ndarray:
        z = np.concatenate([noise.latents(seed, index, 1, LATENT_SIZE) for index in indices])
        classes = NETWORKS[name].classes
        labels = (
            [index % classes if label is None else label for index in indices] if classes else None
        )
        return run_model(repository / name / "2" / "generator.onnx", z, labels)

    return compute


@pytest.fixture
def client(server) -> Iterator[Client]:
    with Client(server.target) as connected:
        yield connected


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening, so that nobody else takes it
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def serve(
    repository: Path, *options: str, noisy: bool = False, unchecked: bool = False
) -> Iterator[Server]:
    """Starts dcgan-serve on free ports; at the end it must exit cleanly, with a quiet log.

    An unchecked server loads graphs that are not safe.
    """
    ports = ["--port", "0", "--metrics-port", "0"]
    entry_point = _entry_point("serve", before=UNCHECKED if unchecked else "")
    command = [*entry_point, "--model-repository", str(repository), *ports, *options]
    log: list[str] = []
    pipe = subprocess.PIPE
    with launch_server(command, stdout=pipe, stderr=pipe) as launched:
        process, report = launched.process, launched.report
        try:
            yield Server(
                process=process,
                report=report,
                metrics=metrics_url(report.metrics_addresses[0]),
                ready_line=process.stdout.readline(),
                log=log,
            )
        finally:
            process.terminate()
            rest, errors = process.communicate(timeout=30)
            log.append(errors)

    assert (process.returncode, rest) == (0, "")
    assert noisy or all(" INFO dcgan." in line for line in errors.splitlines()), errors


def metrics_url(address: str) -> str:
    return f"http://{address}/metrics"


@pytest.fixture(scope="session")
def entry_point():
    """The command line of dcgan-serve or dcgan-generate, without its options.

    Python code `before` is run first, e.g. to replace a function.
    """
    return _entry_point


@pytest.fixture(scope="session")
def read_metrics():
    """The series that a server publishes, by name and labels."""

    def read(server: Server) -> dict[str, float]:
        with urllib.request.urlopen(server.metrics) as page:
            lines = page.read().decode().splitlines()
        series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in series}

    return read


def _entry_point(name: str, before: str = "") -> list[str]:
    main = f"from dcgan.serving.cli.{name} import main; main(prog_name='dcgan-{name}')"
    return [sys.executable, "-c", f"{before}\n{main}"]
