"""Decides which releases a server serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import FILE_NAME, ModelFile
from dcgan.zoo.repository import (
    DEFAULT_MODEL,
    SHIPPED,
    Release,
    find_release,
    list_releases,
    read_release,
)


@dataclass(frozen=True, kw_only=True)
class PinnedRelease:
    """Exactly one release: a process that opens it serves the same bytes, or does not start.

    Attributes:
        folder: of the release.
        name: of the model.
        version: of the model.
        digest: SHA-256 of the file that runs.
    """

    folder: Path
    name: str
    version: int
    digest: str

    def open(self, precision: str) -> Release:
        """Reads the release again.

        Raises:
            DcganError: if it is not there any more, or has changed.
        """
        release = read_release(self.folder)
        manifest = release.manifest
        found = (manifest.name, manifest.version, served_file(release, precision).sha256)
        if found != (self.name, self.version, self.digest):
            raise ServingError(
                f"{self.folder} has changed since the server started with version {self.version} "
                f"of {self.name}; restart the server to serve what is there now"
            )
        return release


def pin_release(release: Release, precision: str) -> PinnedRelease:
    """Pins a release.

    Raises:
        ServingError: if it has no ONNX file in that precision.
    """
    return PinnedRelease(
        folder=release.folder.resolve(),
        name=release.manifest.name,
        version=release.manifest.version,
        digest=served_file(release, precision).sha256,
    )


def served_file(release: Release, precision: str) -> ModelFile:
    """Returns the ONNX file that runs.

    Raises:
        ServingError: if the release has no ONNX file in that precision.
    """
    file = release.manifest.file("onnx", precision)
    if file is None:
        flag = "--onnx" if precision == "fp32" else f"--{precision}"
        cure = f"choose another --precision, or export the model again with {flag}"
        raise ServingError(f"{release.folder} has no ONNX file in {precision}; {cure}")
    return file


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

    from dcgan.zoo.cache import get_or_fetch  # noqa: PLC0415
    from dcgan.zoo.catalog import get_model  # noqa: PLC0415 - loads the HTTP client

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
