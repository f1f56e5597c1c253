"""Clients that are compiled from the .proto, in Go and in Java, get the same bytes as Python's."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "clients"
PROTOC = ["protoc", "-I", str(ROOT / "protos"), "dcgan/v1/generator.proto"]
GO_SOURCES = Path("/usr/share/gocode")
GO_PACKAGE = "Mdcgan/v1/generator.proto=example.com/generate/dcganv1"
JARS = Path("/usr/share/java")
RUN_JARS = [
    "grpc-api",
    "grpc-context",
    "grpc-core",
    "grpc-netty",
    "grpc-protobuf",
    "grpc-protobuf-lite",
    "grpc-stub",
    "guava",
    "netty-buffer",
    "netty-codec",
    "netty-codec-http",
    "netty-codec-http2",
    "netty-common",
    "netty-handler",
    "netty-resolver",
    "netty-transport",
    "perfmark-api",
    "proto-google-common-protos",
    "protobuf",
    "protobuf-util",
]
COMPILE_JARS = ["geronimo-annotation-1.3-spec"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def go_client(tmp_path_factory) -> list[str]:
    """The command line of the client in Go, compiled with Debian's libraries."""
    need_programs("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc")
    need_files(
        GO_SOURCES / "src/google.golang.org/grpc", GO_SOURCES / "src/google.golang.org/protobuf"
    )
    folder = tmp_path_factory.mktemp("go")
    sources = folder / "src" / "example.com" / "generate"
    sources.mkdir(parents=True)
    shutil.copy(EXAMPLES / "go" / "main.go", sources)
    shutil.copy(Path(__file__).parent / "go" / "codec.go", sources)

    out = f"--go_out={folder / 'src'}", f"--go-grpc_out={folder / 'src'}"
    compile_or_fail([*PROTOC, *out, f"--go_opt={GO_PACKAGE}", f"--go-grpc_opt={GO_PACKAGE}"])
    environment = {
        "GO111MODULE": "off",
        "GOPATH": f"{folder}:{GO_SOURCES}",
        "GOCACHE": os.environ.get("GOCACHE", str(folder / "cache")),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    program = folder / "generate"
    compile_or_fail(["go", "build", "-o", str(program), "example.com/generate"], environment)
    return [str(program)]


@pytest.fixture(scope="module")
def java_client(tmp_path_factory) -> list[str]:
    """The command line of the client in Java, compiled with Debian's libraries."""
    need_programs("javac", "java", "protoc", "grpc_java_plugin")
    run_jars = [JARS / f"{name}.jar" for name in RUN_JARS]
    compile_jars = [JARS / f"{name}.jar" for name in COMPILE_JARS]
    need_files(*run_jars, *compile_jars)
    folder = tmp_path_factory.mktemp("java")

    plugin = f"--plugin=protoc-gen-grpc-java={shutil.which('grpc_java_plugin')}"
    compile_or_fail([*PROTOC, plugin, f"--java_out={folder}", f"--grpc-java_out={folder}"])
    classes = folder / "classes"
    stubs = [str(path) for path in folder.glob("dcgan/v1/*.java")]
    libraries = ":".join(map(str, run_jars + compile_jars))
    program = str(EXAMPLES / "java" / "Generate.java")
    compile_or_fail(["javac", "-d", str(classes), "-cp", libraries, *stubs, program])
    return ["java", "-cp", ":".join(map(str, [classes, *run_jars])), "Generate"]


@pytest.fixture(params=["go", "java"])
def compiled_client(request) -> list[str]:
    return request.getfixturevalue(f"{request.param}_client")


def test_a_compiled_client_gets_the_same_bytes(compiled_client, client):
    for seed, offset, n in [(7, 0, 64), (2**63 + 1, 10**6, 3), (2**64 - 1, 2**64 - 5, 5)]:
        reply = json.loads(run(compiled_client, client.target, seed, offset, n).stdout)

        wanted = hashlib.sha256(client.generate(seed, n, offset=offset).tobytes()).hexdigest()
        assert (reply["unary"], reply["stream"]) == (wanted, wanted)
        assert (reply["seed"], reply["offset"], reply["n"]) == (str(seed), str(offset), n)
        assert (reply["model"], reply["digest"]) == ("tiny", client.model().digest)


def test_a_compiled_client_shows_a_refusal(compiled_client, client):
    done = run(compiled_client, client.target, 7, 0, 0)
    assert (done.returncode, done.stdout) == (1, "")
    assert "n must be 1 to" in done.stderr


def run(command: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [*command, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def compile_or_fail(command: list[str], environment: dict[str, str] | None = None) -> None:
    variables = os.environ | (environment or {})
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr


def need_programs(*names: str) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (.ci/run names the Debian packages)")


def need_files(*paths: Path) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (.ci/run names the Debian packages)")
