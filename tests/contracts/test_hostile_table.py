"""The table of hostile cases: every row is a test, and a marker that makes no row is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate.hostile import MarkerError, hostile_tables

GOOD = '@pytest.mark.hostile("a bomb", "refused")\n'


def write(folder: Path, text: str, name: str = "core/test_a.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import pytest\n\n\n{text}")
    return folder


def test_a_marked_test_is_a_row_under_the_heading_of_its_folder(tmp_path: Path):
    write(tmp_path, GOOD + "@pytest.mark.slow\nasync def test_bomb(x):\n    ...\n")
    write(tmp_path, "def test_other():\n    ...\n", "zoo/test_b.py")
    assert hostile_tables(tmp_path) == (
        "### Files, terminals and addresses\n\n| case | what happens | test |\n"
        "| --- | --- | --- |\n"
        "| a bomb | refused | `core/test_a.py::test_bomb` |\n"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@pytest.mark.hostile('a')\ndef test_a(): ...", "takes two texts"),
        ("@pytest.mark.hostile('a', '')\ndef test_a(): ...", "takes two texts"),
        ("@pytest.mark.hostile('a', 'b', 'c')\ndef test_a(): ...", "takes two texts"),
        ("@pytest.mark.hostile('a', f'{1}')\ndef test_a(): ...", "takes two texts"),
        ("@pytest.mark.hostile(case='a', result='b')\ndef test_a(): ...", "takes two texts"),
        (GOOD + "def helper(): ...", "stands on a test"),
        ("@pytest.mark.hostile\ndef test_a(): ...", "stands on no test function"),
        (GOOD + "class TestA: ...", "stands on no test function"),
        ("pytestmark = pytest.mark.hostile('a', 'b')", "stands on no test function"),
        (GOOD + "def test_a(): ...\n" + GOOD + "def test_b(): ...", "repeats the case of"),
    ],
)
def test_a_marker_that_makes_no_row_is_an_error(tmp_path: Path, text: str, problem: str):
    with pytest.raises(MarkerError, match=problem):
        hostile_tables(write(tmp_path, text))


def test_a_folder_without_a_heading_is_an_error(tmp_path: Path):
    with pytest.raises(MarkerError, match="without a heading"):
        hostile_tables(write(tmp_path, GOOD + "def test_a(): ...", "elsewhere/test_a.py"))


def test_every_part_that_reads_foreign_input_has_rows():
    tables = hostile_tables()
    for folder in ("core", "zoo", "export", "training", "evaluation", "serving"):
        assert f"`{folder}/" in tables
