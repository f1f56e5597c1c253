"""Publishing: a model folder appears in a repository complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dcgan.core.atomic import new_folder, remove_leftovers
from dcgan.zoo.manifest import FILE_NAME, Manifest, check_name, check_version
from dcgan.zoo.release import RepositoryError


@contextmanager
def publish(repository: Path, name: str, version: int) -> Iterator[Path]:
    """Gives a temporary folder for a model, and publishes it when the block ends without an error.

    Raises:
        RepositoryError: if that version exists, or the repository cannot be written.
        ManifestError: if the name or version is not allowed.
    """
    _check_free(repository, name, version)
    target = repository / name / str(version)
    remove_leftovers(target.parent, target.name)  # of processes that were killed
    try:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(new_folder(target))
            except OSError as error:
                raise RepositoryError(
                    f"cannot write to the repository {repository}: {error.strerror}"
                ) from None

            try:
                yield folder
                stack.close()  # puts the folder in its place
            except OSError as error:
                raise _refusal(target, error) from None
    finally:
        remove_if_empty(target.parent)


def check_publishable(repository: Path, name: str, version: int) -> None:
    """Checks that a model can be published, before the work whose result it is to hold.

    Raises:
        RepositoryError: if that version exists, or the repository cannot be written.
        ManifestError: if the name or version is not allowed.
    """
    _check_free(repository, name, version)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=repository).close()
    except OSError as error:
        raise RepositoryError(
            f"cannot write to the repository {repository}: {error.strerror}"
        ) from None


def check_not_fetched(cache: Path, manifest: Manifest) -> None:
    """Checks that the place of a model in the cache is free.

    Raises:
        RepositoryError: if it is not; it names the way to free it.
    """
    target = cache / manifest.name / str(manifest.version)
    if (target / FILE_NAME).exists():
        raise RepositoryError(
            f"{target} exists and a released model is never changed; to replace it, first run "
            f"dcgan-zoo remove {manifest.name} --version {manifest.version}"
        )
    if os.path.lexists(target):
        raise RepositoryError(f"{target} is not a model and in the way of one; remove it first")


def remove_if_empty(folder: Path) -> None:
    """Removes the folder of a model that has no version."""
    try:
        folder.rmdir()
    except OSError:
        return  # it holds other versions


def _check_free(repository: Path, name: str, version: int) -> None:
    check_name(name)
    check_version(version)
    target = repository / name / str(version)
    if target.exists():
        raise RepositoryError(
            f"{target} exists and a released model is never changed; "
            "choose another name, version or repository"
        )


def _refusal(target: Path, error: OSError) -> RepositoryError:
    if target.exists():
        return RepositoryError(
            f"{target} was published by another process in the meantime; choose another --version"
        )
    return RepositoryError(
        f"cannot write the model to {target}: {error.strerror or error}; nothing was published"
    )
