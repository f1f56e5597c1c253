"""The rooms of the export depend on one another in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

EXPORT = Path(__file__).resolve().parents[2] / "export"


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcgan.export."):
            yield node.module.split(".")[2]


def test_no_room_imports_one_that_imports_it():
    rooms = {path.parent.name for path in EXPORT.glob("*/__init__.py")}
    graph = {
        room: {
            other
            for path in (EXPORT / room).glob("*.py")
            for other in imported_rooms(path)
            if other in rooms - {room}
        }
        for room in rooms
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("graph") < order.index("formats") < order.index("verify")
    assert order.index("verify") < order.index("release")


def test_nothing_in_a_room_imports_the_pipeline_or_the_command():
    for path in EXPORT.glob("*/*.py"):
        assert {"pipeline", "cli"}.isdisjoint(imported_rooms(path)), path
