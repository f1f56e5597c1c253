"""All models that can be used: shipped, fetched, in the user's repository, or in an index."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.errors import CacheError, DcganError
from dcgan.core.paths import cache_dir
from dcgan.zoo.download import RetryPolicy
from dcgan.zoo.index import IndexEntry, read_index
from dcgan.zoo.manifest import Manifest, check_name
from dcgan.zoo.release import Release, RepositoryError
from dcgan.zoo.repository import SHIPPED, find_release, names_in, versions_of
from dcgan.zoo.signature import PublicKey

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A version of a model.

    Attributes:
        manifest: of the model.
        source: "shipped", "fetched", "folder" (the user's repository), or "index" before it is
            fetched.
        folder: of the model; None before it is fetched.
        archive: where it can be fetched; None for a model that is on this machine.
    """

    manifest: Manifest
    source: str
    folder: Path | None = None
    archive: IndexEntry | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """Version of the model."""
        return self.manifest.version

    @property
    def release(self) -> Release:
        """The model on disk.

        Raises:
            RepositoryError: if it is not fetched yet.
        """
        if self.folder is None:
            raise RepositoryError(
                f"{self.name} is not on this machine yet; run dcgan-zoo fetch {self.name}"
            )
        return Release(self.folder, self.manifest)

    @property
    def formats(self) -> tuple[str, ...]:
        """Role and precision of each file that computes images, e.g. "onnx fp32"."""
        return tuple(
            f"{file.role} {file.precision}" for file in self.manifest.files if file.precision
        )

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.manifest.files)


def model_cache() -> Path:
    """Returns the repository of fetched models.

    Raises:
        CacheError: if the user has no home folder and DCGAN_HOME is not set.
    """
    return cache_dir() / "models"


def list_models(
    pattern: str = "*",
    *,
    repository: Path | None = None,
    index: str | None = None,
    key: PublicKey | None = None,
    retry: RetryPolicy | None = None,
) -> list[ModelEntry]:
    """Lists models by name, the newest version first.

    A version that is in several places is listed once: from the user's repository, the cache, the
    package or the index, in this order. A corrupt model is left out, with a warning.

    Args:
        pattern: shell pattern of names, such as "dcgan64-*".
        repository: the user's repository.
        index: address, file or folder of an index.
        key: the key that must have signed the index; None for no check.
        retry: timeouts and attempts of downloading the index.

    Raises:
        RepositoryError: if the repository is not a folder.
        DownloadError: if the index cannot be read.
        SignatureError: if the index is not signed by the key.
    """
    entries: dict[tuple[str, int], ModelEntry] = {}
    for entry in _find_all(repository, index, key, retry):
        if fnmatch.fnmatchcase(entry.name, pattern):
            entries.setdefault((entry.name, entry.version), entry)
    return sorted(entries.values(), key=lambda entry: (entry.name, -entry.version))


def get_model(
    name: str,
    version: int | None = None,
    *,
    repository: Path | None = None,
    index: str | None = None,
    key: PublicKey | None = None,
    retry: RetryPolicy | None = None,
) -> ModelEntry:
    """Finds a model; its newest version unless one is named. See `list_models` for the arguments.

    Raises:
        RepositoryError: if there is none (names those that exist), or if it is corrupt.
        ManifestError: if the name is not allowed.
    """
    check_name(name)
    local = {
        version: (place, source)
        for place, source in reversed(_local_repositories(repository))
        for version in versions_of(place, name)
    }
    models = read_index(index, retry, key).models if index is not None else ()
    remote = {entry.manifest.version: entry for entry in models if entry.manifest.name == name}

    versions = sorted({*local, *remote})
    if not versions:
        names = {entry.name for entry in list_models(repository=repository)}
        known = ", ".join(sorted(names | {model.manifest.name for model in models}))
        raise RepositoryError(f"there is no model {name!r}; there is {known or 'none at all'}")

    wanted = versions[-1] if version is None else version
    if wanted in local:
        place, source = local[wanted]
        release = find_release(place, name, wanted)
        return ModelEntry(manifest=release.manifest, source=source, folder=release.folder)
    if wanted in remote:
        return ModelEntry(manifest=remote[wanted].manifest, source="index", archive=remote[wanted])
    known = ", ".join(map(str, versions))
    raise RepositoryError(f"model {name!r} has no version {wanted}; it has {known}")


def iterate_releases(repository: Path) -> Iterator[Release | RepositoryError]:
    """Yields every model of a repository, or why it cannot be read, by name and version."""
    for name in names_in(repository):
        for version in reversed(versions_of(repository, name)):
            try:
                yield find_release(repository, name, version)
            except DcganError as error:
                yield RepositoryError(str(error))


def local_repositories(repository: Path | None = None) -> list[Path]:
    """Returns the repositories on this machine that exist, the user's first."""
    return [place for place, _ in _local_repositories(repository)]


def _local_repositories(repository: Path | None) -> list[tuple[Path, str]]:
    if repository is not None and not _is_folder(repository):
        raise RepositoryError(
            f"{repository} is not a folder; name a model repository, laid out as <name>/<version>/"
        )

    places = [(SHIPPED, "shipped")]
    try:
        places.insert(0, (model_cache(), "fetched"))
    except CacheError as error:  # only fetching needs a cache
        logger.info("%s", error)
    if repository is not None:
        places.insert(0, (repository, "folder"))
    return [(place, source) for place, source in places if _is_folder(place)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder above it that this user may not read
        return False


def _find_all(
    repository: Path | None, index: str | None, key: PublicKey | None, retry: RetryPolicy | None
) -> Iterator[ModelEntry]:
    for place, source in _local_repositories(repository):
        for release in iterate_releases(place):
            if isinstance(release, Release):
                yield ModelEntry(manifest=release.manifest, source=source, folder=release.folder)
            else:
                logger.warning("left out: %s", release)
    if index is not None:
        for entry in read_index(index, retry, key).models:
            yield ModelEntry(manifest=entry.manifest, source="index", archive=entry)
