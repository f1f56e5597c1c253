"""Check that this checkout can be released: version, changelog, tag, wheel, a fresh installation.

Run by `make release-check`. It changes nothing but dist/.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
MOST_BYTES = 25 * 2**20  # of a wheel
NEEDED = (
    "dcgan/core/py.typed",
    "dcgan/v1/generator.proto",
    "dcgan/training/recipes/dcgan64.toml",
    "dcgan/zoo/models/dcgan64-tiny/1/manifest.json",
)


def version_problems(version: str, changelog: str, citation: str) -> list[str]:
    """Returns what contradicts the version in the changelog and the citation."""
    problems = []
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    ):
        problems.append(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")

    unreleased = re.search(
        r"^## \[Unreleased\]\n(.*?)(?=^## )", changelog, re.MULTILINE | re.DOTALL
    )
    if unreleased and re.search(r"^- ", unreleased[1], re.MULTILINE):
        problems.append("CHANGELOG.md has lines under [Unreleased]; move them under the version")

    if f"\nversion: {version}\n" not in citation:
        problems.append(f"CITATION.cff does not have version: {version}")
    return problems


def tag_problems(version: str) -> list[str]:
    """Returns what is wrong with the tag of the version, or with what is not committed."""
    problems = []
    if _git("status", "--porcelain"):
        problems.append("there are changes that are not committed")

    tag = f"v{version}"
    if _git("tag", "--list", tag) and _git("rev-list", "-n1", tag) != _git("rev-parse", "HEAD"):
        problems.append(f"the tag {tag} is on another commit; raise the version")
    return problems


def build_wheel(version: str) -> Path:
    """Builds the wheel into dist/ from the commit, without untracked files."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "source.tar")
        source = Path(folder, "source")
        _git("archive", f"--output={archive}", "HEAD")
        with tarfile.open(archive) as tar:
            tar.extractall(source, filter="data")
        _uv("build", "--wheel", "--python", sys.executable, "--out-dir", str(DIST), str(source))
    return next(DIST.glob(f"*-{version}-*.whl"))


def wheel_problems(wheel: Path) -> list[str]:
    """Returns what is wrong with the contents of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        description = archive.read(metadata).decode()

    problems = [f"the wheel lacks {name}" for name in NEEDED if name not in names]
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    if tops != {"dcgan"}:
        problems.append(f"the wheel has the top-level names {', '.join(sorted(tops))}")
    if wheel.stat().st_size > MOST_BYTES:
        problems.append(f"the wheel has {wheel.stat().st_size} bytes, more than {MOST_BYTES}")
    if re.search(r"\]\((?!https?:|#)", description):
        problems.append("the long description has relative links")
    return problems


def installation_problems(wheel: Path, version: str, commands: list[str]) -> list[str]:
    """Installs a wheel without extras in a fresh environment; returns what does not work there."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "env")
        _uv("venv", "--python", sys.executable, str(environment))
        python = environment / "bin" / "python"
        constraints = str(ROOT / "constraints.txt")
        _uv("pip", "install", "--python", str(python), "-c", constraints, str(wheel))

        programs = {
            "the installed version": f"from importlib.metadata import version as v; "
            f"assert v('dcgan-zoo') == {version!r}",
            "the client": "from dcgan.serving.client import AsyncClient, Client",
        }
        calls = {name: [str(python), "-c", program] for name, program in programs.items()}
        calls |= {
            f"{name} --help": [str(environment / "bin" / name), "--help"] for name in commands
        }
        calls["dcgan-zoo verify"] = [str(environment / "bin" / "dcgan-zoo"), "verify", "--all"]
        failed = [name for name, call in calls.items() if not _works(call, folder)]
    return [f"in a fresh installation, {name} does not work" for name in failed]


def main() -> None:
    """Runs all checks, prints every problem, and exits with 1 if there is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    problems = version_problems(version, changelog, citation) + tag_problems(version)

    wheel = build_wheel(version)
    problems += wheel_problems(wheel)
    problems += installation_problems(wheel, version, list(project["scripts"]))

    for problem in problems:
        print(f"problem: {problem}")
    if problems:
        sys.exit(1)
    print(f"{wheel.name} can be released")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)


def _works(call: list[str], folder: str) -> bool:
    done = subprocess.run(call, cwd=folder, capture_output=True, check=False, timeout=120)
    return done.returncode == 0


if __name__ == "__main__":
    main()
