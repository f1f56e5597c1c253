"""Versions of libraries, and the commit of this project."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from dcgan.core import versions
from dcgan.core.onnx_session import load_onnxruntime
from dcgan.core.versions import library_versions, project_commit


def test_versions_come_in_the_order_they_are_asked_for():
    found = library_versions("python", "numpy", "onnxruntime")
    assert list(found) == ["python", "numpy", "onnxruntime"]
    assert found == {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": load_onnxruntime().__version__,
    }


def test_a_library_that_is_not_installed_is_named():
    with pytest.raises(PackageNotFoundError, match="no-such-library"):
        library_versions("no-such-library")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_checkout_and_none_elsewhere(tmp_path: Path):
    shutil.copy(versions.__file__, tmp_path / "versions.py")
    program = "import versions; print(versions.project_commit())"

    def ask() -> str:
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return result.stdout.strip()

    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "somebody else's project")
    assert ask() == "None"

    git(tmp_path, "add", "versions.py")
    git(tmp_path, "commit", "-q", "-m", "ours")
    assert ask() == git(tmp_path, "rev-parse", "HEAD")


def test_the_commit_is_one_of_git_or_none():
    commit = project_commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}", commit)
