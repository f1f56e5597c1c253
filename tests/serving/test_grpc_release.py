"""The release of grpcio."""

import tomllib
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from dcgan.serving import grpc_release
from dcgan.serving.cli.serve import main
from dcgan.serving.errors import ServingError
from dcgan.serving.grpc_release import check_grpc_release

ROOT = Path(__file__).parents[2]


def test_another_release_is_refused_in_one_sentence():
    check_grpc_release("1.85.7")
    for version in ("1.8.5", "1.84.9", "1.86.0", "2.0.0"):
        with pytest.raises(ServingError, match=f"grpcio {version} is installed.*grpcio~=1.85.1"):
            check_grpc_release(version)


def test_the_server_says_so_before_it_imports_anything_that_needs_it(monkeypatch):
    monkeypatch.setattr(grpc_release, "RELEASE", "0.1")
    result = CliRunner().invoke(main, ["--port", "0", "--metrics-port", "0", "--no-http"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: grpcio {grpc.__version__} is installed")
    assert result.stderr.count("\n") == 1


def test_the_extra_requires_the_same_release():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (requirement,) = (
        each for each in project["optional-dependencies"]["serve"] if each.startswith("grpcio>")
    )
    major, minor = map(int, grpc_release.RELEASE.split("."))
    assert requirement.startswith(f"grpcio>={grpc_release.RELEASE}.")
    assert requirement.endswith(f",<{major}.{minor + 1}")
