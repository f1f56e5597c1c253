"""Who may import whom, what light processes leave out, and that no modules import in a circle."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    "core": ("dcgan.core",),
    "zoo": ("dcgan.core", "dcgan.zoo"),
    "training": ("dcgan.core", "dcgan.training"),
    "export": (
        "dcgan.core",
        "dcgan.zoo",
        "dcgan.training.config",
        "dcgan.training.models",
        "dcgan.training.run_folder",
        "dcgan.export",
    ),
    "evaluation": (
        "dcgan.core",
        "dcgan.zoo",
        "dcgan.training.data",
        "dcgan.training.models",
        "dcgan.training.monitor.progress",
        "dcgan.training.monitor.quality",
        "dcgan.training.run_config",
        "dcgan.training.run_folder",
        "dcgan.export.options",
        "dcgan.export.pipeline",
        "dcgan.export.release.republish",
        "dcgan.evaluation",
    ),
    "serving": ("dcgan.core", "dcgan.zoo", "dcgan.v1", "dcgan.serving"),
}
COMMANDS = [
    "dcgan-train",
    "dcgan-export",
    "dcgan-evaluate",
    "dcgan-serve",
    "dcgan-generate",
    "dcgan-bench",
    "dcgan-zoo",
]
HEAVY = ("torch", "torchvision", "onnx", "onnxscript", "sklearn", "safetensors")
CORE_MAY_IMPORT = {"numpy", "PIL", "click", "onnxruntime", "uvloop"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("dcgan", *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {
    module_name(path): path for part in ALLOWED for path in sorted((ROOT / part).rglob("*.py"))
}


def imports(tree: ast.AST, package: str) -> set[str]:
    """Every module that a piece of code imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{package} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in names if name in MODULES}
            found |= submodules
            if len(submodules) < len(names):
                found.add(str(node.module))

    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_at_start(module: str) -> set[str]:
    """What a module of this project imports of it while it is itself imported."""
    tree = ast.parse(MODULES[module].read_text())
    body = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_for_types(node)
    ]
    return imports(ast.Module(body, []), module) & MODULES.keys()


ALL_IMPORTS = {
    module: imports(ast.parse(path.read_text()), module) for module, path in MODULES.items()
}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of a directed graph, or nothing."""
    finished: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in finished:
            return []
        for neighbour in sorted(graph.get(node, ())):
            cycle = visit(neighbour, [*path, node])
            if cycle:
                return cycle
        finished.add(node)
        return []

    return next((cycle for node in sorted(graph) if (cycle := visit(node, []))), [])


def test_a_cycle_is_found_where_there_is_one():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) == []


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str):
    for module, imported in ALL_IMPORTS.items():
        if module.split(".")[1] != part:
            continue
        for name in imported:
            inside = not name.startswith("dcgan") or name.startswith(ALLOWED[part])
            assert inside, f"{module} imports {name}"


@pytest.mark.parametrize("part", ALLOWED)
def test_contributing_says_what_a_part_may_import(part: str):
    lines = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{part}` | `dcgan.{part}` |")]
    listed = re.findall(r"`([\w.]+)`", row.split(" | ")[-1])
    assert sorted(f"dcgan.{name}" for name in listed) == sorted(
        name for name in ALLOWED[part] if name != f"dcgan.{part}"
    )


def test_core_imports_few_libraries():
    for module, imported in ALL_IMPORTS.items():
        if module.startswith("dcgan.core"):
            libraries = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
            assert libraries <= CORE_MAY_IMPORT | {"dcgan"}, f"{module} imports {libraries}"


def test_only_one_module_imports_onnx_runtime():
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text())
        tree.body = [node for node in tree.body if not is_for_types(node)]
        found = "onnxruntime" in imports(tree, module)
        assert found == (module == "dcgan.core.onnx_session"), module


@pytest.mark.parametrize("part", ["core", "zoo", "serving"])
def test_what_serves_needs_neither_torch_nor_onnx(part: str):
    for module, imported in ALL_IMPORTS.items():
        if module.split(".")[1] == part:
            heavy = {name.split(".")[0] for name in imported}.intersection(HEAVY)
            assert not heavy, f"{module} imports {heavy}"


def test_no_modules_import_in_a_circle():
    assert find_cycle({module: imports_at_start(module) for module in MODULES}) == []


def sub_package(module: str) -> str | None:
    """The sub-package of a part that a module lies in, such as dcgan.serving.api."""
    parts = module.split(".")
    is_package = MODULES[module].name == "__init__.py"
    return ".".join(parts[:3]) if len(parts) > 3 or (len(parts) == 3 and is_package) else None


@pytest.mark.parametrize("part", ALLOWED)
def test_the_sub_packages_of_a_part_do_not_import_in_a_circle(part: str):
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        here = sub_package(module)
        if here is not None and here.split(".")[1] == part:
            packages = {sub_package(imported) for imported in imports_at_start(module)}
            graph.setdefault(here, set()).update(
                other
                for other in packages
                if other and other != here and other.split(".")[1] == part
            )

    assert find_cycle(graph) == []


def test_the_client_imports_nothing_of_the_server():
    for module, imported in ALL_IMPORTS.items():
        if module.startswith("dcgan.serving.client"):
            inside = {name for name in imported if name.startswith("dcgan.serving")}
            assert all(name.startswith("dcgan.serving.client") for name in inside), module


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("dcgan.serving.server", ("torch", "torchvision", "onnx", "uvicorn", "httptools")),
        ("dcgan.serving.workers", ("torch", "torchvision", "onnx")),
        ("dcgan.serving.client", ("torch", "torchvision", "onnx", "onnxruntime", "dcgan.zoo")),
        ("dcgan.zoo.cache", ("torch", "torchvision", "onnx", "onnxruntime", "grpc")),
    ],
)
def test_light_processes_leave_heavy_libraries_out(module: str, absent: tuple[str, ...]):
    program = (
        f"import sys, {module}\n"
        f"found = [name for name in {absent!r} if name in sys.modules]\n"
        "assert not found, found\n"
        "import dcgan.core.onnx_session as session\n"
        f"if 'onnxruntime' not in {absent!r}: session.load_onnxruntime()\n"
        f"found = [name for name in {absent!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str):
    program = (
        "import sys, importlib.metadata as metadata\n"
        "scripts = metadata.entry_points(group='console_scripts')\n"
        f"main = next(script for script in scripts if script.name == {command!r}).load()\n"
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


@pytest.mark.slow
@pytest.mark.parametrize("module", ["dcgan.serving.engine.cpu", "dcgan.export.verify.backends"])
def test_onnx_runtime_reports_nothing_and_keeps_nothing(module: str, tmp_path: Path):
    # ONNX Runtime is quiet under these variables by itself.
    quiet = ("CI", "ORT_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    program = (
        f"import {module}\nfrom dcgan.core.onnx_session import session_options\nsession_options()\n"
    )
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
