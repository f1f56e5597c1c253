"""Model repositories: folders of released models, `<repository>/<name>/<version>/`.

`dcgan.zoo.publishing` adds models to them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from dcgan.core.text import printable
from dcgan.zoo.manifest import FILE_NAME, check_name
from dcgan.zoo.release import CorruptModelError, Release, RepositoryError, read_release

SHIPPED = Path(__file__).parent / "models"
"""The repository inside the package."""

DEFAULT_MODEL = "dcgan64"
"""The shipped model that is served by default."""

_VERSION = re.compile(r"[1-9][0-9]{0,9}")  # name of a folder; not 007, nor digits of other scripts


def list_releases(repository: Path) -> list[Release]:
    """Reads all models of a repository, by name, the newest version first.

    Raises:
        RepositoryError: if the repository is not a folder, or a model in it is corrupt or
            misplaced.
    """
    if not _is_folder(repository):
        raise RepositoryError(
            f"{str(repository)!r:.200} is not a folder that can be read; "
            f"name a model repository, laid out as <name>/<version>/{FILE_NAME}"
        )
    releases = [_read_placed(folder) for folder in _model_folders(repository)]
    return sorted(releases, key=lambda release: (release.manifest.name, -release.manifest.version))


def find_release(repository: Path, name: str, version: int | None = None) -> Release:
    """Reads a model of a repository; its newest version unless one is named.

    Raises:
        RepositoryError: if there is none (names those that exist), or if it is corrupt.
        ManifestError: if the name is not allowed.
    """
    check_name(name)
    versions = versions_of(repository, name)
    if not versions:
        known = printable(", ".join(names_in(repository)))
        raise RepositoryError(
            f"there is no model {name!r} in {repository}; it has {known or 'no model at all'}"
        )

    if version is not None and version not in versions:
        raise RepositoryError(
            f"model {name!r} in {repository} has no version {version}; "
            f"it has {', '.join(map(str, versions))}"
        )
    return _read_placed(repository / name / str(version or versions[-1]))


def names_in(repository: Path) -> list[str]:
    """Returns the names of the models in a repository, sorted."""
    return sorted({folder.parent.name for folder in _model_folders(repository)})


def versions_of(repository: Path, name: str) -> list[int]:
    """Returns the versions of a model in a repository, the oldest first."""
    return sorted(
        int(path.parent.name)
        for path in repository.glob(f"{name}/*/{FILE_NAME}")
        if _VERSION.fullmatch(path.parent.name)
    )


def _model_folders(repository: Path) -> list[Path]:
    """Returns the folders of all models; hidden ones are those that are being removed."""
    return [
        path.parent
        for path in repository.glob(f"*/*/{FILE_NAME}")
        if _VERSION.fullmatch(path.parent.name) and not path.parent.parent.name.startswith(".")
    ]


def _read_placed(folder: Path) -> Release:
    """Reads a model folder, and checks that its path has the name and version of its manifest."""
    release = read_release(folder)
    place = (folder.parent.name, folder.name)
    if place != (release.manifest.name, str(release.manifest.version)):
        raise CorruptModelError(
            f"{folder} holds version {release.manifest.version} of {release.manifest.name!r}; "
            "the path of a model is <repository>/<name>/<version>"
        )
    return release


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except OSError:  # for example, a name that is too long for the file system
        return False
