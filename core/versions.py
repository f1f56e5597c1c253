"""Versions of the libraries and of this project, for configurations and manifests."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Distributions under which the same package is installed.
_VARIANTS = {"onnxruntime": ("onnxruntime-gpu", "onnxruntime")}


def library_versions(*names: str) -> dict[str, str]:
    """Returns the installed version of each library, in the order given.

    Args:
        names: of distributions; "python" means the interpreter, and "onnxruntime" whichever
            variant is installed.

    Raises:
        PackageNotFoundError: if one is not installed.
    """
    return {name: _version(name) for name in names}


def project_commit() -> str | None:
    """Returns the git commit of this project, or None if it does not run from a checkout."""
    here = Path(__file__)
    try:
        # An environment may lie inside another project's checkout, where git tracks other files.
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(name: str) -> str:
    if name == "python":
        return platform.python_version()

    for variant in _VARIANTS.get(name, (name,)):
        try:
            return version(variant)
        except PackageNotFoundError:
            continue
    raise PackageNotFoundError(name)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
