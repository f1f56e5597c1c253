"""The rooms of training import each other in one direction only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "training"
ORDER = ("models", "data", "monitor", "engine")
"""Each room may import those before it."""


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["dcgan", "training"] and len(parts) > 2:
                rooms.add(parts[2])
    return rooms & set(ORDER)


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_the_rooms_before_it(room):
    allowed = set(ORDER[: ORDER.index(room) + 1])
    for path in (ROOT / room).glob("*.py"):
        assert imported_rooms(path) <= allowed, path.name
