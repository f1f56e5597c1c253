"""The sub-packages of the export depend on one another in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

EXPORT = Path(__file__).resolve().parents[2] / "export"


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcgan.export."):
            yield node.module.split(".")[2]


def test_no_package_imports_one_that_imports_it():
    packages = {path.parent.name for path in EXPORT.glob("*/__init__.py")}
    graph = {
        package: {
            other
            for path in (EXPORT / package).glob("*.py")
            for other in imported_packages(path)
            if other in packages - {package}
        }
        for package in packages
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError

    assert order.index("graph") < order.index("formats") < order.index("verify")
    assert order.index("verify") < order.index("release")


def test_nothing_in_a_sub_package_imports_the_pipeline_or_the_command():
    for path in EXPORT.glob("*/*.py"):
        assert {"pipeline", "cli"}.isdisjoint(imported_packages(path)), path
