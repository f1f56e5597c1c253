"""Decides which releases a server serves."""

from __future__ import annotations

from pathlib import Path

from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, Release, find_release, list_releases


def find_releases(
    repository: Path | None, name: str | None, index: str | None = None
) -> list[Release]:
    """Finds the releases to serve, the default model first.

    Args:
        repository: model repository, of which the newest version of every model is served; None to
            serve one model, which was fetched before or is part of the package.
        name: of the default model; None for the first by name.
        index: of models, from which that model is fetched if it is not here; None to fetch nothing.

    Raises:
        DcganError: if there is no such model, it is damaged, or it cannot be fetched.
    """
    if index is not None and (repository is not None or name is None):
        raise ServingError(
            "--fetch-from fetches the one model that --model names; leave --model-repository out"
        )
    if repository is not None:
        return _newest_releases(repository, name)
    if name is None:
        return [find_release(SHIPPED, DEFAULT_MODEL)]

    from dcgan.zoo.catalog import get_model, get_or_fetch  # noqa: PLC0415 - loads the HTTP client

    model = get_model(name) if index is None else get_or_fetch(name, index)
    return [model.release]


def _newest_releases(repository: Path, name: str | None) -> list[Release]:
    newest: dict[str, Release] = {}
    for release in list_releases(repository):  # the newest version of a name comes first
        newest.setdefault(release.manifest.name, release)
    if not newest:
        raise ServingError(_explain_empty(repository))

    default = next(iter(newest)) if name is None else find_release(repository, name).manifest.name
    return [newest.pop(default), *newest.values()]


def _explain_empty(repository: Path) -> str:
    if any(repository.glob(f"*/{FILE_NAME}")) or (repository / FILE_NAME).exists():
        return f"{repository} is the folder of one model; name the folder two levels above it"
    return f"{repository} holds no model; export one into it, or leave --model-repository out"
