"""Who may import whom: training -> zoo; export -> training.networks, training.run, zoo; serving -> zoo, v1."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED = {
    "core": ("dcgan.core",),
    "zoo": ("dcgan.core", "dcgan.zoo"),
    "training": ("dcgan.core", "dcgan.zoo", "dcgan.training"),
    "export": (
        "dcgan.core",
        "dcgan.zoo",
        "dcgan.training.models",
        "dcgan.training.run_folder",
        "dcgan.export",
    ),
    "serving": ("dcgan.core", "dcgan.zoo", "dcgan.v1", "dcgan.serving"),
}
COMMANDS = [
    "dcgan-train",
    "dcgan-export",
    "dcgan-serve",
    "dcgan-generate",
    "dcgan-bench",
    "dcgan-zoo",
]
PACKAGES = {
    f"dcgan.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
    for part in ALLOWED
    for path in (ROOT / part).rglob("__init__.py")
}
HEAVY = ("torch", "torchvision", "onnx", "onnxscript", "sklearn", "safetensors")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "dcgan" or node.module in PACKAGES else {node.module}
    return found


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str):
    for path in (ROOT / part).rglob("*.py"):
        for module in imports(path):
            inside = not module.startswith("dcgan") or module.startswith(ALLOWED[part])
            assert inside, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("part", ["core", "zoo", "serving"])
def test_what_serves_needs_neither_torch_nor_onnx(part: str):
    for path in (ROOT / part).rglob("*.py"):
        roots = {module.split(".")[0] for module in imports(path)}
        assert roots.isdisjoint(HEAVY), (
            f"{path.relative_to(ROOT)} imports {roots.intersection(HEAVY)}"
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str):
    program = (
        "import sys, importlib.metadata as metadata\n"
        f"main = next(p for p in metadata.entry_points(group='console_scripts') if p.name == {command!r}).load()\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as exit:\n    assert not exit.code\n"
        f"heavy = {{*{HEAVY!r}, 'onnxruntime', 'grpc'}}.intersection(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("module", ["dcgan.serving.engine.cpu", "dcgan.export.verify.backends"])
def test_onnx_runtime_reports_nothing_and_keeps_nothing(module: str, tmp_path: Path):
    kept = (
        "CI",
        "ORT_DISABLE_TELEMETRY",
        "PYTEST_CURRENT_TEST",
    )  # ONNX Runtime is quiet under these by itself
    environment = {name: value for name, value in os.environ.items() if name not in kept}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import {module}; from dcgan.core.onnx_session import CPU, session_options; session_options()",
        ],
        env=environment,
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []
