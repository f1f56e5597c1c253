"""What a release is checked for: versions, changelog, citation, subjects, long description."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASE = runpy.run_path(str(ROOT / "scripts" / "check_release.py"))
SUBJECT = runpy.run_path(str(ROOT / "scripts" / "check_subject.py"))
SETUP = runpy.run_path(str(ROOT / "setup.py"))

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-26\n\n- A line.\n"
CITATION = "title: x\nversion: 1.2.0\nlicense: y\n"


def test_a_version_that_all_files_agree_on_is_accepted():
    assert RELEASE["version_problems"]("1.2.0", CHANGELOG, CITATION) == []


@pytest.mark.parametrize(
    ("changelog", "citation", "problem"),
    [
        (CHANGELOG.replace("1.2.0", "1.1.0"), CITATION, "no section '## [1.2.0]"),
        (CHANGELOG.replace("2026-11-26", "soon"), CITATION, "no section '## [1.2.0]"),
        (CHANGELOG.replace("d]\n", "d]\n\n- New.\n"), CITATION, "under [Unreleased]"),
        (CHANGELOG, CITATION.replace("1.2.0", "1.2.0rc1"), "CITATION.cff"),
    ],
)
def test_a_file_that_contradicts_the_version_is_named(changelog, citation, problem):
    (found,) = RELEASE["version_problems"]("1.2.0", changelog, citation)
    assert problem in found


def test_the_citation_has_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("Rename Average to EMA\n\nWhy.\n", None),
        ("x" * 72, None),
        ("x" * 73, "73 characters"),
        ("Rename it.\n", "full stop"),
        ("Rename it\nat once\n", "not empty"),
        ("\n", "is empty"),
    ],
)
def test_a_commit_subject_is_checked(message, problem):
    found = SUBJECT["problem_with"](message)
    assert found is None if problem is None else problem in found


def test_links_of_the_long_description_lead_to_the_tag_or_become_text():
    readme = "![A grid](a/b.png) and [a page](docs/x.md#y), [site](https://x.org), [here](#z)"
    kept = "[site](https://x.org), [here](#z)"
    home = "https://forge.example/dcgan-zoo"
    absolute = SETUP["long_description"](readme, home, "1.2.0")
    assert absolute == (
        f"![A grid]({home}/raw/v1.2.0/a/b.png) and [a page]({home}/blob/v1.2.0/docs/x.md#y), {kept}"
    )
    assert SETUP["long_description"](readme, "", "1.2.0") == f"*A grid* and a page, {kept}"
