"""What a user installs: one top-level name, the data it needs, the commands it promises."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from dcgan.serving.launch import launch_server

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("v1", "zoo", "training", "export", "serving")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from what git would hand to a stranger."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", str(out), str(source)], check=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_only_top_level_name_is_dcgan(wheel: zipfile.ZipFile):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dcgan"}
    assert "dcgan/__init__.py" not in wheel.namelist()


def test_every_module_and_every_data_file_is_inside(wheel: zipfile.ZipFile):
    folders = {"v1": "protos/dcgan/v1"} | {part: part for part in PARTS if part != "v1"}
    names = set(wheel.namelist())
    for part, folder in folders.items():
        for path in (ROOT / folder).rglob("*"):
            wanted = path.is_file() and "__pycache__" not in path.parts
            assert not wanted or f"dcgan/{part}/{path.relative_to(ROOT / folder)}" in names, path


def test_the_wheel_is_small(wheel: zipfile.ZipFile):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 25 * 2**20


def test_every_command_can_be_imported():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    installed = {
        point.name: point
        for point in entry_points(group="console_scripts")
        if point.name in declared
    }
    assert set(installed) == set(declared)
    for point in installed.values():
        assert callable(point.load())


def test_every_pinned_package_is_free_of_urls():
    assert "://" not in (ROOT / "constraints.txt").read_text()


@pytest.mark.slow
def test_the_wheel_serves_and_draws_without_torch(wheel: zipfile.ZipFile, tmp_path: Path):
    """The base install, in an environment of its own, far from the checkout."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    environment = tmp_path / "environment"
    subprocess.run([*uv, "venv", "--python", sys.executable, str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [
        "pip",
        "install",
        "--python",
        str(python),
        "-c",
        str(ROOT / "constraints.txt"),
        str(wheel.filename),
    ]
    subprocess.run([*uv, *install], check=True)
    assert (
        subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
        == 1
    )

    options = ["--port", "0", "--metrics-port", "0"]
    command = [str(environment / "bin" / "dcgan-serve"), *options]
    with launch_server(command, cwd=tmp_path) as server:
        draw = [str(environment / "bin" / "dcgan-generate"), "--seed", "7", "-n", "4"]
        target = ["--out", "grid.png", "--target", server.address]
        drawn = subprocess.run([*draw, *target], cwd=tmp_path, check=False)
    assert drawn.returncode == 0
    assert server.process.returncode == 0
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
