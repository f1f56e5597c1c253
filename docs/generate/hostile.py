"""The table of hostile cases, from the tests that carry the marker `hostile`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.generate.markdown import cell, code, table

TESTS = Path(__file__).resolve().parents[2] / "tests"

_MARKER = "pytest.mark.hostile"
_HEADINGS = {
    "core": "Files, terminals and addresses",
    "zoo": "Models, indexes and archives of others",
    "export": "Files that can hold code",
    "training": "Data sets and run folders of others",
    "evaluation": "Evaluation of models of others",
    "serving": "Clients, servers and processes",
    "contracts": "Across commands",
    "scripts": "Fuzzing",
}
"""Heading of each folder of tests, in the order of the page."""


class MarkerError(Exception):
    """A marker that makes no row."""


@dataclass(frozen=True)
class HostileCase:
    """A row of the table.

    Attributes:
        case: what somebody does.
        result: what happens then.
        test: path and name of the test.
    """

    case: str
    result: str
    test: str


def hostile_tables(tests: Path = TESTS) -> str:
    """Returns a table of cases for each part of the project.

    Raises:
        MarkerError: if a marker has not two texts, stands on something other than a test, or
            repeats a case; or if a folder has no heading.
    """
    cases: dict[str, list[HostileCase]] = {heading: [] for heading in _HEADINGS.values()}
    seen: dict[str, str] = {}
    for path in sorted(tests.rglob("test_*.py")):
        for found in _read_cases(path, path.relative_to(tests).as_posix()):
            if found.case in seen:
                raise MarkerError(f"{found.test} repeats the case of {seen[found.case]}")
            seen[found.case] = found.test
            cases[_heading(found)].append(found)

    sections = []
    for heading, rows in cases.items():
        if rows:
            lines = [[cell(row.case), cell(row.result), code(row.test)] for row in rows]
            sections.append(f"### {heading}\n\n{table(['case', 'what happens', 'test'], lines)}")
    return "\n".join(sections)


def _heading(case: HostileCase) -> str:
    folder = case.test.partition("/")[0]
    if folder not in _HEADINGS:
        raise MarkerError(f"{case.test} lies in a folder without a heading; add one")
    return _HEADINGS[folder]


def _read_cases(path: Path, name: str) -> Iterator[HostileCase]:
    source = path.read_text(encoding="utf-8")
    if _MARKER not in source:
        return

    tree = ast.parse(source)
    on_tests = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARKER:
                on_tests.add(id(decorator.func))
                yield _read_case(decorator, node.name, name)

    for marker in ast.walk(tree):
        if not isinstance(marker, ast.Attribute) or ast.unparse(marker) != _MARKER:
            continue
        if id(marker) not in on_tests:
            raise MarkerError(f"{name}:{marker.lineno}: {_MARKER} stands on no test function")


def _read_case(decorator: ast.Call, function: str, name: str) -> HostileCase:
    texts = [
        argument.value
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    fits = len(texts) == len(decorator.args) == 2 and all(texts) and not decorator.keywords
    if not fits or not function.startswith("test_"):
        raise MarkerError(
            f"{name}:{decorator.lineno}: {_MARKER} takes two texts, the case and what happens, and "
            "stands on a test"
        )
    case, result = texts
    return HostileCase(case, result, f"{name}::{function}")
