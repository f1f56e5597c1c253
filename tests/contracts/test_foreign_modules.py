"""Modules of the user in the working folder do not take the place of the project's."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

COMMANDS = [
    point.name for point in distribution("dcgan-zoo").entry_points.select(group="console_scripts")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dcgan", "core", "zoo", "click", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user')\n")
    return tmp_path


def test_commands_ignore_modules_in_the_working_folder(folder):
    scripts = [[str(Path(sys.executable).parent / name), "-V"] for name in COMMANDS]
    started = [
        subprocess.Popen(
            script, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for script in scripts
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [out.split()[:1] for out, _ in answers] == [[name] for name in COMMANDS], answers


def test_modules_that_python_runs_need_a_safe_path(folder):
    command = [sys.executable, "-m", "dcgan.training", "-V"]

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert "a module of the user" in run().stderr  # as docs/how-to/train.md says
    done = run(PYTHONSAFEPATH="1")
    assert done.returncode == 0, done.stderr
