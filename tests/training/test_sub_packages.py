"""The sub-packages of training import each other in one direction only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "training"
ORDER = ("models", "data", "monitor", "engine")
"""Each package may import those before it."""


def imported_packages(path: Path) -> set[str]:
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["dcgan", "training"] and len(parts) > 2:
                packages.add(parts[2])
    return packages & set(ORDER)


def test_every_folder_is_in_the_order():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_before_it(package):
    allowed = set(ORDER[: ORDER.index(package) + 1])
    for path in (ROOT / package).glob("*.py"):
        assert imported_packages(path) <= allowed, path.name
