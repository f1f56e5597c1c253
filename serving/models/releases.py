"""Decides which releases a server serves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import FILE_NAME, ModelFile
from dcgan.zoo.release import Release, read_release
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, find_release, list_releases

_MAX_NAMES = 20

logger = logging.getLogger(__name__)


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
    repository: Path | None,
    name: str | None,
    index: str | None = None,
    key: str | None = None,
    *,
    precision: str = "fp32",
) -> list[Release]:
    """Finds the releases to serve, the default model first.

    Args:
        repository: model repository, of which the newest version of every model is served; None for
            the models of the package, or with a name for that model alone, from the cache or the
            package.
        name: of the default model; None for the only one, or for the package's.
        index: of models, from which that model is fetched if it is not here; None to fetch nothing.
        key: public key, or its file, that must have signed the index; None for no check.
        precision: precision of the files that run. Models of a repository that lack it are not
            served, except for the default model, which must have it.

    Raises:
        DcganError: if there is no such model, it is damaged, or it cannot be fetched; or if a
            repository holds several models and none is named.
    """
    if index is not None and (repository is not None or name is None):
        raise ServingError(
            "--fetch-from fetches the one model that --model names; leave --model-repository out"
        )
    if key is not None and index is None:
        raise ServingError("--fetch-key is the key of the index that --fetch-from names; give both")
    if repository is not None:
        return _newest_releases(repository, name, precision)
    if name is None:
        return _newest_releases(SHIPPED, DEFAULT_MODEL, precision)

    from dcgan.zoo.cache import get_or_fetch  # noqa: PLC0415
    from dcgan.zoo.catalog import get_model  # noqa: PLC0415 - loads the HTTP client
    from dcgan.zoo.signature import read_public_key  # noqa: PLC0415

    if index is None:
        return [get_model(name).release]
    return [get_or_fetch(name, index, read_public_key(key) if key is not None else None).release]


def _newest_releases(repository: Path, name: str | None, precision: str) -> list[Release]:
    newest: dict[str, Release] = {}
    for release in list_releases(repository):  # the newest version of a name comes first
        newest.setdefault(release.manifest.name, release)
    if not newest:
        raise ServingError(_explain_empty(repository))

    if name is not None:
        default = newest.pop(find_release(repository, name).manifest.name)
    elif len(newest) == 1:
        default = newest.pop(next(iter(newest)))
    else:
        # Were it the first by name, a new model could become the default unnoticed.
        names = ", ".join(list(newest)[:_MAX_NAMES])
        problem = f"{repository} holds {len(newest)} models: {names:.1000}"
        raise ServingError(f"{problem}; choose the default one with --model")

    served_file(default, precision)
    others = []
    for release in newest.values():
        if release.manifest.file("onnx", precision) is None:
            logger.warning("%s is not served: it has no file in %s", release.folder, precision)
        else:
            others.append(release)
    return [default, *others]


def _explain_empty(repository: Path) -> str:
    if list(repository.glob(f"*/{FILE_NAME}")) or (repository / FILE_NAME).exists():
        return f"{repository} is the folder of one model; name the folder that contains all models"
    return f"{repository} holds no model; export one into it, or leave --model-repository out"
