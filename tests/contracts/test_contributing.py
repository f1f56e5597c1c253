"""The files that CONTRIBUTING.md names exist, and in its lists each imports the next one."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = ("A request", "A weight")


def lists(title: str) -> list[list[Path]]:
    """The numbered lists of a section, each as the files at the head of its items."""
    section = CONTRIBUTING.partition(f"### {title}\n")[2].partition("\n#")[0]
    blocks = re.findall(r"(?:^1\. .*\n?)+", section, flags=re.MULTILINE)
    return [[ROOT / name for name in re.findall(r"^1\. `([\w/.]+)`", b, re.M)] for b in blocks]


def neighbours() -> list[object]:
    """Each file of a list with the next one."""
    return [
        pytest.param(here, there, id=f"{here.relative_to(ROOT)} to {there.relative_to(ROOT)}")
        for title in SECTIONS
        for files in lists(title)
        for here, there in pairwise(files)
    ]


def imports(path: Path) -> set[Path]:
    """Files of the project that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    names = [name.removeprefix("dcgan.").replace(".", "/") for name in found]
    return {ROOT / f"{name}.py" for name in names if (ROOT / f"{name}.py").is_file()}


def test_the_files_to_change_exist():
    section = CONTRIBUTING.partition("## Where to change what\n")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+/[\w/.]*)`", section)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("title", SECTIONS)
def test_each_section_has_a_list(title: str):
    assert sum(len(files) for files in lists(title)) >= 10


@pytest.mark.parametrize(("here", "there"), neighbours())
def test_each_file_leads_to_the_next(here: Path, there: Path):
    assert here.is_file()
    assert there.is_file()
    assert there in imports(here)


@pytest.mark.parametrize("title", SECTIONS)
def test_a_list_begins_where_an_earlier_one_passed_or_reads_what_it_wrote(title: str):
    passed: list[Path] = []
    for files in lists(title):
        if passed:
            assert files[0] in passed or passed[-1] in imports(files[0]), files[0]
        passed += files
