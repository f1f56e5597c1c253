"""The sub-packages of the server import one another in one direction only."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SERVING = Path(__file__).resolve().parents[2] / "serving"
PROTOCOLS = ("grpc", "starlette", "uvicorn")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_package_imports_one_that_imports_it():
    packages = {path.parent.name for path in SERVING.glob("*/__init__.py")}
    graph = {package: set() for package in packages}
    for package in packages:
        for path in (SERVING / package).rglob("*.py"):
            names = {module.split(".")[2] for module in imports(path) if module.count(".") > 1}
            graph[package] |= names & packages - {package}
    assert graph["api"] >= {"models", "scheduling"}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_the_edge_knows_the_protocol():
    inside = [*(SERVING / "scheduling").glob("*.py"), *(SERVING / "encoding").glob("png*.py")]
    inside += [SERVING / "api" / name for name in ("generation.py", "in_flight.py", "errors.py")]
    for path in inside:
        roots = {module.split(".")[0] for module in imports(path)}
        assert roots.isdisjoint(PROTOCOLS), path.name
