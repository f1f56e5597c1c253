"""A toy model and an index of it. The zoo checks its graph, but never runs it."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from dcgan.core.images import Pixels
from dcgan.core.noise import SCHEME
from dcgan.core.schema import dump_json
from dcgan.zoo.catalog import list_models
from dcgan.zoo.cli import main
from dcgan.zoo.download import Download, RetryPolicy
from dcgan.zoo.golden import encode_golden, golden_digest
from dcgan.zoo.index import write_index
from dcgan.zoo.manifest import (
    FILE_NAME,
    Golden,
    GoldenDigest,
    GoldenImage,
    Manifest,
    ModelFile,
    Tensor,
    Training,
)
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import describe_file
from tests.zoo.misbehaving_server import DATA, SHA256, Server

GOLDEN_PIXELS: Pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
PROVIDER, PROCESSOR = "CPUExecutionProvider", "x86-64-v3"
IMPATIENT = RetryPolicy(attempts=3, timeout_s=0.5, backoff_s=0.0)


def make_manifest(files: tuple[ModelFile, ...], *, name: str = "toy", version: int = 1) -> Manifest:
    return Manifest(
        schema_version=1,
        name=name,
        version=version,
        description="A toy.",
        license="Apache-2.0",
        image_size=32,
        channels=1,
        latent_size=16,
        classes=0,
        class_names=(),
        noise_scheme=SCHEME,
        opset=18,
        inputs=(Tensor(name="z", dtype="float32", shape=("batch", 16)),),
        outputs=(Tensor(name="images", dtype="uint8", shape=("batch", 32, 32, 1)),),
        files=files,
        golden=Golden(
            images=(GoldenImage(seed=0, index=0), GoldenImage(seed=0, index=1)),
            digests=(
                GoldenDigest(
                    path="generator.onnx",
                    provider=PROVIDER,
                    processor=PROCESSOR,
                    sha256=golden_digest(GOLDEN_PIXELS),
                ),
            ),
        ),
        parity=(),
        producers={"numpy": "2"},
        training=Training(
            recipe="toy", data="toys", data_sha256="0" * 64, images_seen=1, seed=0, hardware="none"
        ),
    )


def build_toy_graph(*, activation: str = "Tanh") -> bytes:
    """Returns an ONNX file with the inputs and outputs of the toy."""
    nodes = [
        helper.make_node("Reshape", ["z", "square"], ["small"]),
        helper.make_node("ConvTranspose", ["small", "weight"], ["large"], strides=[8, 8]),
        helper.make_node(activation, ["large"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["last"], ["images"], to=TensorProto.UINT8),
    ]
    constants = {"square": np.array([0, 1, 4, 4]), "weight": np.ones((1, 1, 8, 8), np.float32)}
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 16])],
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 32, 32, 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets).SerializeToString()


def publish_toy(repository: Path, name: str = "toy", version: int = 1) -> Path:
    with publish(repository, name, version) as folder:
        (folder / "generator.onnx").write_bytes(build_toy_graph())
        (folder / "golden.png").write_bytes(encode_golden(GOLDEN_PIXELS))
        files = (
            describe_file(folder / "generator.onnx", "onnx", "fp32"),
            describe_file(folder / "golden.png", "golden"),
        )
        (folder / FILE_NAME).write_text(dump_json(make_manifest(files, name=name, version=version)))
    return repository / name / str(version)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A published model folder."""
    return publish_toy(tmp_path / "models")


@contextmanager
def running(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The same server behind TLS, with a certificate that this process trusts."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield server


@pytest.fixture
def retry() -> RetryPolicy:
    """Short timeouts and no pauses, for a server on this machine."""
    return IMPATIENT


@pytest.fixture(autouse=True)
def _isolated(own_home: Path) -> None:
    """Gives every test an empty cache."""


def dcgan_zoo(*arguments: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def repository(toy: Path) -> Path:
    """The repository of the toy."""
    return toy.parent.parent


@pytest.fixture
def copy_as(toy: Path) -> Callable[[str, int], Path]:
    """Makes another model, or another version, beside the toy."""

    def copy(name: str, version: int) -> Path:
        folder = toy.parent.parent / name / str(version)
        shutil.copytree(toy, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(
            json.dumps(manifest | {"name": name, "version": version})
        )
        return folder

    return copy


@pytest.fixture
def zoo(toy: Path, server: Server, tmp_path: Path) -> str:
    """Address of an index that offers the toy and the models beside it."""
    packed = tmp_path / "packed"
    write_index(
        [entry.release for entry in list_models("toy*", repository=toy.parent.parent)],
        packed,
        lambda _: None,
    )
    server.files.update({f"/zoo/{path.name}": path.read_bytes() for path in packed.iterdir()})
    return server.url("/zoo/index.json")


@pytest.fixture
def what(server) -> Download:
    """A file on the server, to download."""
    server.files["/file"] = DATA
    return Download(url=server.url("/file"), bytes=len(DATA), sha256=SHA256)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a download is written, in a folder that does not exist yet."""
    return tmp_path / "downloads" / "file"
