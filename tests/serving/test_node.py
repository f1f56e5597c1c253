"""A client in another language, which loads only the .proto, gets the same bytes."""

import hashlib
import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    ROOT / "examples" / "clients" / "node" / "package.json",
    ROOT / "examples" / "clients" / "node" / "generate.js",
    ROOT / "tests" / "serving" / "node" / "traps.js",
)
GUIDE = ROOT / "docs" / "how-to" / "write-a-client.md"


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory) -> Path:
    """The Node client with its two packages installed beside it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    folder = tmp_path_factory.mktemp("node")

    for path in SOURCES:
        shutil.copy(path, folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    try:
        done = subprocess.run(
            install, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry did not answer within two minutes")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the client's packages: {done.stderr.strip()[:200]}")
    return folder


@pytest.mark.parametrize(("seed", "offset", "n"), [(7, 0, 64), (2**64 - 1, 2**64 - 5, 5)])
def test_a_node_client_gets_the_same_bytes(node_folder, client, seed, offset, n):
    proto = files("dcgan.v1") / "generator.proto"
    command = ["node", "generate.js", str(proto), client.target, str(seed), str(offset), str(n)]
    done = subprocess.run(
        command, cwd=node_folder, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    wanted = hashlib.sha256(client.generate(seed, n, offset=offset).tobytes()).hexdigest()
    reply = json.loads(done.stdout)
    assert (reply["unary"], reply["stream"]) == (wanted, wanted)
    assert (reply["n"], reply["offset"], reply["model"]) == (n, str(offset), "tiny")
    assert reply["digest"] == client.model().digest


def test_the_program_of_the_documentation_runs(node_folder, client):
    (program,) = re.findall(r"```js\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    proto = str(files("dcgan.v1") / "generator.proto")
    program = program.replace("protos/dcgan/v1/generator.proto", proto)
    done = subprocess.run(
        ["node", "-e", program.replace("127.0.0.1:8001", client.target)],
        cwd=node_folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"64 images, {client.generate(7, 64).size} bytes"


def test_the_traps_of_the_documentation_are_as_it_says(node_folder):
    proto = str(files("dcgan.v1") / "generator.proto")
    done = subprocess.run(
        ["node", "traps.js", proto],
        cwd=node_folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    dropped = sent["snakeCaseWithoutKeepCase"]
    assert (dropped["seed_a"], dropped["seed_b"]) == ("0", "0")
    assert (sent["snakeCase"]["seed_a"], sent["snakeCase"]["seed_b"]) == ("1", "2")
    assert sent["shortFormat"]["format"] == "IMAGE_FORMAT_UNSPECIFIED"
    assert sent["format"]["format"] == "IMAGE_FORMAT_PNG"
    assert sent["number"]["seed"] == str(2**53)
    assert sent["string"]["seed"] == sent["bigint"]["seed"] == str(2**64 - 1)
    assert sent["misspelt"]["seed"] == sent["text"]["seed"] == "0"
