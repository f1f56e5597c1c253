"""Installs pinned npm packages and Debian packages into a scratch folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.core.errors import DcganError

_CURE = "check the network and try again"
_APT_CURE = "run apt-get update, or " + _CURE


class DatasetError(DcganError):
    """A data set that cannot be made here."""


@contextmanager
def npm_packages(project: Path) -> Iterator[Path]:
    """Installs what the lock file of an npm project pins, and removes it at the end.

    Args:
        project: folder with package.json, package-lock.json (which holds the digest of every
            package) and scripts.

    Yields:
        A temporary copy of the folder, with node_modules.

    Raises:
        DatasetError: if there is no npm, the registry cannot be reached, or a package has another
            digest.
    """
    npm = find_program("npm", "install Node.js 20 or later")
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / project.name
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns("node_modules"))
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=copy)
        yield copy


@contextmanager
def debian_package(name: str, version: str, sha256: str) -> Iterator[Path]:
    """Downloads and unpacks a Debian package, and removes it at the end; it is not installed.

    Args:
        name: of the package.
        version: of the package.
        sha256: of the .deb file.

    Yields:
        The temporary folder that holds the files of the package.

    Raises:
        DatasetError: if there is no apt or dpkg, the archive cannot be reached, or the file has
            another digest.
    """
    apt = find_program("apt-get", "run this on Debian 12 or a relative")
    dpkg = find_program("dpkg-deb", "run this on Debian 12 or a relative")
    with tempfile.TemporaryDirectory() as scratch:
        # apt gives up root to download, and then needs a folder that everyone can write.
        Path(scratch).chmod(0o777)
        run([apt, "download", f"{name}={version}"], cwd=Path(scratch), cure=_APT_CURE)
        (package,) = Path(scratch).glob("*.deb")
        check_sha256(package, sha256, f"the Debian package {name}")
        files = Path(scratch) / "files"
        run([dpkg, "--extract", str(package), str(files)], cwd=Path(scratch))
        yield files


def find_program(name: str, cure: str) -> str:
    """Finds a program on the PATH.

    Raises:
        DatasetError: if it is not there.
    """
    path = shutil.which(name)
    if path is None:
        raise DatasetError(f"this needs the program {name}, which is not on the PATH; {cure}")
    return path


def run(words: list[str], *, cwd: Path, cure: str = _CURE) -> None:
    """Runs a program to its end.

    Args:
        words: of its command line.
        cwd: folder to run it in.
        cure: what to do if it fails, for the message.

    Raises:
        DatasetError: if it fails; the message has the first line of its errors.
    """
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DatasetError(
            f"{' '.join([Path(words[0]).name, *words[1:3]])} failed ({first_line(done.stderr)}); "
            f"{cure}"
        )


def first_line(errors: str) -> str:
    """Returns the first telling line of a program's errors, without the prefixes of npm and apt."""
    lines = (
        line.removeprefix("npm error").removeprefix("E:").strip() for line in errors.splitlines()
    )
    return next((line for line in lines if line and not line.startswith("WARNING")), "no message")[
        :200
    ]


def check_sha256(path: Path, expected: str, what: str) -> None:
    """Compares the digest of a file.

    Raises:
        DatasetError: if it is another one.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise DatasetError(
            f"{what} has sha256 {found[:16]}..., not the pinned {expected[:16]}...; "
            "it is another version or damaged, so try again or update the pin"
        )
