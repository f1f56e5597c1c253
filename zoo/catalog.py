"""Every model within reach: shipped with the package, fetched, in a folder of one's own, or in an index."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.errors import DcganError
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.zoo.archive import unpack
from dcgan.zoo.download import Download, DownloadError, RetryPolicy, download, split_url
from dcgan.zoo.index import IndexEntry, read_index
from dcgan.zoo.manifest import FILE_NAME, Manifest, check_name
from dcgan.zoo.repository import SHIPPED, Release, RepositoryError, find_release, versions_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One version of one model within reach.

    Attributes:
        manifest: what it says of itself.
        source: "shipped", "fetched", "folder", or "index" for one that has yet to be fetched.
        folder: where it lies; None before it is fetched.
        archive: where it can be fetched; None for one that is here.
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
            RepositoryError: if it has yet to be fetched.
        """
        if self.folder is None:
            raise RepositoryError(f"{self.name} is not here yet; run dcgan-zoo fetch {self.name}")
        return Release(self.folder, self.manifest)

    @property
    def formats(self) -> tuple[str, ...]:
        """The files that compute images, as role and precision, e.g. "onnx fp32"."""
        return tuple(
            f"{file.role} {file.precision}" for file in self.manifest.files if file.precision
        )

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(file.bytes for file in self.manifest.files)


def model_cache() -> Path:
    """The repository that fetched models go to."""
    return cache_dir() / "models"


def list_models(
    pattern: str = "*",
    *,
    repository: Path | None = None,
    index: str | None = None,
    retry: RetryPolicy | None = None,
) -> list[ModelEntry]:
    """Lists the models within reach, by name, the newest version first.

    A version that is in several places is listed once: from the repository, the cache, the package, the index, in
    this order. A damaged model is left out, with a warning.

    Args:
        pattern: shell pattern for names, such as "dcgan64-*".
        repository: a repository of one's own.
        index: address, file or folder of an index.
        retry: with the server of the index.

    Raises:
        RepositoryError: if the repository is no folder.
        DownloadError: if the index cannot be had.
    """
    entries: dict[tuple[str, int], ModelEntry] = {}
    for entry in _within_reach(repository, index, retry):
        if fnmatch.fnmatchcase(entry.name, pattern):
            entries.setdefault((entry.name, entry.version), entry)
    return sorted(entries.values(), key=lambda entry: (entry.name, -entry.version))


def get_model(
    name: str,
    version: int | None = None,
    *,
    repository: Path | None = None,
    index: str | None = None,
    retry: RetryPolicy | None = None,
) -> ModelEntry:
    """Finds one model within reach; the newest version unless one is named. See `list_models` for the rest.

    Raises:
        RepositoryError: if there is none, with the names or versions that exist, or if it is damaged.
        ManifestError: if the name is not allowed.
    """
    check_name(name)
    local = {
        version: (place, source)
        for place, source in reversed(_repositories(repository))
        for version in versions_of(place, name)
    }
    models = read_index(index, retry).models if index is not None else ()
    remote = {entry.manifest.version: entry for entry in models if entry.manifest.name == name}
    versions = sorted({*local, *remote})
    if not versions:
        names = sorted(
            {entry.name for entry in list_models(repository=repository)}
            | {m.manifest.name for m in models}
        )
        raise RepositoryError(
            f"there is no model {name!r} within reach; there is {', '.join(names) or 'none at all'}"
        )
    wanted = versions[-1] if version is None else version
    if wanted in local:
        place, source = local[wanted]
        release = find_release(place, name, wanted)
        return ModelEntry(manifest=release.manifest, source=source, folder=release.folder)
    if wanted in remote:
        return ModelEntry(manifest=remote[wanted].manifest, source="index", archive=remote[wanted])
    raise RepositoryError(
        f"model {name!r} has no version {wanted}; it has {', '.join(map(str, versions))}"
    )


def fetch_model(
    entry: ModelEntry,
    retry: RetryPolicy | None = None,
    progress: Callable[[int], None] | None = None,
) -> ModelEntry:
    """Brings a model of an index into the cache; one that is here already stays where it is.

    Raises:
        DownloadError: if its archive cannot be had, or is not what the index promised.
        RepositoryError: if the archive holds anything but the model, or the cache cannot be written.
        CorruptModelError: if what is here is not what its manifest says.
    """
    if entry.archive is None:
        entry.release.verify()
        return entry
    what = Download(url=entry.archive.url, bytes=entry.archive.bytes, sha256=entry.archive.sha256)
    release = _fetch(what, entry.manifest, retry, progress)
    return ModelEntry(manifest=release.manifest, source="fetched", folder=release.folder)


def get_or_fetch(name: str, index: str) -> ModelEntry:
    """The newest version of a model that is here; only if there is none, that of an index, which is fetched.

    Raises:
        DownloadError, RepositoryError: as `get_model` and `fetch_model`.
    """
    check_name(name)
    here = any(versions_of(place, name) for place in places())
    return get_model(name) if here else fetch_model(get_model(name, index=index))


def fetch_archive(
    url: str,
    digest: str | None = None,
    retry: RetryPolicy | None = None,
    progress: Callable[[int], None] | None = None,
) -> ModelEntry:
    """Brings the model of an archive that no index lists into the cache.

    Args:
        url: http, https or file address, or a path, of what `dcgan-zoo pack` wrote.
        digest: SHA-256 of the archive; without it the archive proves only that it is not damaged.
        retry: with the server.
        progress: see `dcgan.zoo.download.download`.

    Raises:
        DownloadError, RepositoryError: as `fetch_model`.
    """
    if digest is not None and re.fullmatch(r"[0-9a-fA-F]{64}", digest) is None:
        raise DownloadError(f"{digest!r:.80} is no SHA-256: give 64 hexadecimal digits")
    digest = digest.lower() if digest else None
    url = url if split_url(url).scheme else Path(url).resolve().as_uri()
    release = _fetch(Download(url=url, sha256=digest), None, retry, progress)
    return ModelEntry(manifest=release.manifest, source="fetched", folder=release.folder)


def remove_model(name: str, version: int | None = None) -> list[Path]:
    """Removes a fetched model, every version of it or one, and returns the folders that are gone.

    Raises:
        RepositoryError: if it was not fetched, or cannot be removed.
        ManifestError: if the name is not allowed.
    """
    check_name(name)
    versions = [kept for kept in versions_of(model_cache(), name) if version in (None, kept)]
    if not versions:
        which = name if version is None else f"version {version} of {name}"
        raise RepositoryError(
            f"{which} is not among the fetched models in {model_cache()}; nothing else is ever removed"
        )
    folders = [model_cache() / name / str(kept) for kept in versions]
    try:
        for folder in folders:
            grave = Path(tempfile.mkdtemp(prefix=".removed-", dir=model_cache()))
            folder.rename(
                grave / folder.name
            )  # at once for every reader, however long the deletion takes
            shutil.rmtree(grave)
        if not any((model_cache() / name).iterdir()):
            (model_cache() / name).rmdir()
    except OSError as error:
        raise RepositoryError(f"cannot remove {folder}: {error.strerror}") from None
    return folders


def iterate_releases(repository: Path) -> Iterator[Release | RepositoryError]:
    """Every model of a repository, or why it cannot be read, by name and version."""
    for name in sorted({path.parent.parent.name for path in repository.glob(f"*/*/{FILE_NAME}")}):
        for version in reversed(versions_of(repository, name)):
            try:
                yield find_release(repository, name, version)
            except DcganError as error:
                yield RepositoryError(str(error))


def places(repository: Path | None = None) -> list[Path]:
    """The repositories within reach that exist, those of the user first."""
    return [place for place, _ in _repositories(repository)]


def _repositories(repository: Path | None) -> list[tuple[Path, str]]:
    if repository is not None and not repository.is_dir():
        raise RepositoryError(
            f"{repository} is no folder; name a model repository, laid out as <name>/<version>/"
        )
    own = [(repository, "folder")] if repository else []
    return [
        (place, source)
        for place, source in [*own, (model_cache(), "fetched"), (SHIPPED, "shipped")]
        if place.is_dir()
    ]


def _within_reach(
    repository: Path | None, index: str | None, retry: RetryPolicy | None
) -> Iterator[ModelEntry]:
    for place, source in _repositories(repository):
        for release in iterate_releases(place):
            if isinstance(release, Release):
                yield ModelEntry(manifest=release.manifest, source=source, folder=release.folder)
            else:
                _LOG.warning("left out: %s", release)
    if index is not None:
        for entry in read_index(index, retry).models:
            yield ModelEntry(manifest=entry.manifest, source="index", archive=entry)


def _fetch(
    what: Download,
    manifest: Manifest | None,
    retry: RetryPolicy | None,
    progress: Callable[[int], None] | None,
) -> Release:
    """Downloads and unpacks, one process at a time for each address; the next finds the work done."""
    downloads = cache_dir() / "downloads"
    key = what.sha256 or hashlib.sha256(what.url.encode()).hexdigest()
    archive = downloads / f"{key}.tar"
    with wait_for_lock(downloads / f"{key}.lock", "download the same model"):
        if manifest is not None and manifest.version in versions_of(model_cache(), manifest.name):
            release = find_release(model_cache(), manifest.name, manifest.version)
            if release.manifest != manifest:
                cure = "remove it with dcgan-zoo remove, then fetch again"
                raise RepositoryError(
                    f"{release.folder} is not the {manifest.name} of the index; {cure}"
                )
            return release
        download(what, archive, retry, progress)
        try:
            return unpack(archive, model_cache(), what.url, manifest)
        finally:
            archive.unlink(missing_ok=True)
