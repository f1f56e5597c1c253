"""What a user installs: one top-level name, the data it needs, the commands it promises."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from dcgan.serving.launch import launch_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("v1", "core", "zoo", "training", "export", "evaluation", "serving")


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
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    left_out = [
        ROOT / "zoo" / pattern.removesuffix("/**/*")
        for pattern in setuptools["exclude-package-data"]["dcgan.zoo"]
    ]
    for part, folder in folders.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                is_inside = f"dcgan/{part}/{path.relative_to(ROOT / folder)}" in names
                assert is_inside != any(map(path.is_relative_to, left_out)), path


def test_the_wheel_is_small(wheel: zipfile.ZipFile):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 25 * 2**20


def test_the_shipped_models_are_small():
    """A clone has all of them; larger models belong into an index."""
    files = [path for path in (ROOT / "zoo" / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40 * 2**20


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


def test_the_list_of_packages_is_the_tree():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"dcgan.v1"}
    for part in PARTS[1:]:
        folders = {path.parent for path in (ROOT / part).rglob("*.py")}
        found |= {".".join(("dcgan", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert sorted(setuptools["packages"]) == sorted(found)
    parts = {f"dcgan.{part}" for part in PARTS}
    assert set(setuptools["package-dir"]) == parts
    assert set(setuptools["package-data"]) >= parts


class Environment:
    """An environment of its own with the wheel, far from the checkout.

    Args:
        folder: where to make it.
        wheel: path of the wheel.
        extra: extra to install; "" for none.
    """

    def __init__(self, folder: Path, wheel: str, extra: str) -> None:
        self.folder = folder
        uv = [sys.executable, "-m", "uv", "--quiet"]
        cache = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv")} | os.environ

        if extra == "all":
            cache["UV_LINK_MODE"] = "symlink"  # a copy of PyTorch takes minutes
        venv = [*uv, "venv", "--python", sys.executable, str(folder)]
        subprocess.run(venv, env=cache, check=True)
        install = [*uv, "pip", "install", "--python", str(folder / "bin" / "python")]
        constraints = ["-c", str(ROOT / "constraints.txt")]
        what = f"{wheel}[{extra}]" if extra else wheel
        subprocess.run([*install, *constraints, what], env=cache, check=True)

    def command(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command outside the checkout."""
        return subprocess.run(
            [self.command(name), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def has(self, module: str) -> bool:
        program = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        return self.run("python", "-c", program).returncode == 0

    def megabytes(self) -> float:
        files = (path for path in (self.folder / "lib").rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files) / 1e6


@pytest.fixture(scope="module")
def environments(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory):
    """A function from an extra to the environment that has it."""

    @functools.cache
    def make(extra: str) -> Environment:
        folder = tmp_path_factory.mktemp("environment") / (extra or "base")
        return Environment(folder, str(wheel.filename), extra)

    return make


SERVE = ("--port", "0", "--metrics-port", "0")


def test_without_an_extra_the_wheel_is_a_client_and_a_zoo(environments):
    base = environments("")
    for module in ("onnxruntime", "torch", "onnx", "prometheus_client", "grpc_health"):
        assert not base.has(module)
    assert base.megabytes() < 150

    with launch_server([str(Path(sys.executable).parent / "dcgan-serve"), *SERVE]) as server:
        target = ("--target", server.address)
        drawn = base.run("dcgan-generate", *target, "--seed", "7", "-n", "4", "--out", "grid.png")
        assert drawn.returncode == 0, drawn.stderr
        load = base.run("dcgan-bench", *target, "--duration-s", "0.2", "--warmup-s", "0")
        assert load.returncode == 0, load.stderr
    assert (base.folder / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert base.run("dcgan-zoo", "verify", "dcgan64-tiny").returncode == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [("dcgan-serve", "serve"), ("dcgan-train", "train"), ("dcgan-export", "export")],
)
def test_without_an_extra_the_other_commands_say_which_to_install(environments, command, extra):
    base = environments("")
    (base.folder / "run").mkdir(exist_ok=True)
    arguments = {
        "serve": SERVE,
        "train": ("--data", "digits", "--out", "new"),
        "export": ("run", "--out", "models", "--name", "digits"),
    }

    assert base.run(command, "--help").returncode == 0
    done = base.run(command, *arguments[extra])
    assert done.returncode == 2
    assert f"pip install 'dcgan-zoo[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_with_serve_the_wheel_serves_and_draws_without_torch(environments):
    served = environments("serve")
    assert not served.has("torch")
    assert served.megabytes() < 600
    with launch_server([served.command("dcgan-serve"), *SERVE], cwd=served.folder) as server:
        options = ("--target", server.address, "--seed", "7", "-n", "4", "--out", "grid.png")
        drawn = served.run("dcgan-generate", *options)
    assert drawn.returncode == 0, drawn.stderr
    assert server.process.returncode == 0
    assert (served.folder / "grid.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(900)
def test_with_all_the_wheel_trains_exports_and_serves(environments):
    everything = environments("all")
    train = ("--data", "digits", "--recipe", "digits", "--steps", "2", "--out", "run")
    export = ("run", "--out", "models", "--name", "digits")
    for command, arguments in (("dcgan-train", train), ("dcgan-export", export)):
        done = everything.run(command, *arguments)
        assert done.returncode == 0, done.stderr
    serve = [everything.command("dcgan-serve"), "--model-repository", "models", *SERVE]
    with launch_server(serve, cwd=everything.folder) as server:
        assert [model.name for model in server.report.models] == ["digits"]
