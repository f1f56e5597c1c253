"""The cache of fetched models: fetching into it, and removing from it."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from dcgan.core.atomic import remove_leftovers
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import private_folder
from dcgan.core.text import printable, public_url
from dcgan.zoo.archive import extract_archive
from dcgan.zoo.catalog import ModelEntry, get_model, local_repositories, model_cache
from dcgan.zoo.download import Download, DownloadError, RetryPolicy, download
from dcgan.zoo.manifest import Manifest, check_name
from dcgan.zoo.publishing import remove_if_empty
from dcgan.zoo.release import Release, RepositoryError
from dcgan.zoo.repository import find_release, versions_of
from dcgan.zoo.signature import PublicKey
from dcgan.zoo.urls import split_url

Progress = Callable[[int], None]

_TRASH = ".removed-"  # begins the names of folders that are being deleted


def fetch_model(
    entry: ModelEntry, retry: RetryPolicy | None = None, progress: Progress | None = None
) -> ModelEntry:
    """Downloads a model of an index into the cache; verifies one that is on this machine.

    Raises:
        DownloadError: if its archive cannot be downloaded or differs from what the index promised.
        RepositoryError: if the archive contains anything but the model.
        CacheError: if the cache cannot be written.
        CorruptModelError: if the model on this machine differs from its manifest.
        UnsafeGraphError: if an ONNX file of the model on this machine is not safe to load.
    """
    if entry.archive is None:
        entry.release.verify()
        return entry

    archive = entry.archive
    file = Download(url=archive.url, bytes=archive.bytes, sha256=archive.sha256)
    release = _fetch(file, entry.manifest, retry, progress)
    return ModelEntry(manifest=release.manifest, source="fetched", folder=release.folder)


def get_or_fetch(name: str, index: str, key: PublicKey | None = None) -> ModelEntry:
    """Returns the newest version of a model on this machine; fetches it only if there is none.

    Args:
        name: of the model.
        index: address, file or folder of the index to fetch it from.
        key: the key that must have signed the index; None for no check.

    Raises:
        DownloadError, RepositoryError, SignatureError, CacheError: as `get_model` and
            `fetch_model`.
    """
    check_name(name)
    is_local = any(versions_of(place, name) for place in local_repositories())
    return get_model(name) if is_local else fetch_model(get_model(name, index=index, key=key))


def fetch_archive(
    url: str,
    digest: str | None = None,
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> ModelEntry:
    """Downloads the model of an archive that is in no index into the cache.

    Args:
        url: http, https or file address, or a path, of an archive of `dcgan-zoo pack`.
        digest: SHA-256 of the archive; without it only damage is detected, not another model.
        retry: timeouts and attempts.
        progress: see `dcgan.zoo.download.download`.

    Raises:
        DownloadError, RepositoryError, CacheError: as `fetch_model`.
    """
    if digest is not None and re.fullmatch(r"[0-9a-fA-F]{64}", digest) is None:
        raise DownloadError(f"{printable(digest, 80)!r} is not a SHA-256; give 64 hex digits")
    digest = digest.lower() if digest else None
    url = url if split_url(url).scheme else Path(url).resolve().as_uri()
    release = _fetch(Download(url=url, sha256=digest), None, retry, progress)
    return ModelEntry(manifest=release.manifest, source="fetched", folder=release.folder)


def remove_model(name: str, version: int | None = None) -> list[Path]:
    """Removes a fetched model.

    Args:
        name: of the model.
        version: to remove; all versions by default.

    Returns:
        The folders that were removed.

    Raises:
        RepositoryError: if it was not fetched, or cannot be removed.
        ManifestError: if the name is not allowed.
    """
    check_name(name)
    cache = private_folder("models")
    with _removal_lock():
        _empty_trash(cache)
        remove_leftovers(cache / name, None if version is None else str(version))
        versions = [found for found in versions_of(cache, name) if version in (None, found)]
        folders = [cache / name / str(found) for found in versions]
        for folder in folders:
            _remove_folder(folder, cache)
        remove_if_empty(cache / name)

    if not folders:
        which = name if version is None else f"version {version} of {name}"
        raise RepositoryError(
            f"{which} is not among the fetched models in {cache}; other models are never removed"
        )
    return folders


def _fetch(
    file: Download,
    manifest: Manifest | None,
    retry: RetryPolicy | None,
    progress: Progress | None,
) -> Release:
    """Downloads and extracts an archive; of several processes one does it, and the others wait."""
    with _removal_lock():
        _empty_trash(private_folder("models"))
    downloads = private_folder("downloads")
    key = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
    archive = downloads / f"{key}.tar"

    with wait_for_lock(downloads / f"{key}.lock", f"download {public_url(file.url)}"):
        if manifest is not None and manifest.version in versions_of(model_cache(), manifest.name):
            return _find_fetched(manifest)

        download(file, archive, retry, progress)
        try:
            return extract_archive(archive, model_cache(), public_url(file.url), manifest)
        finally:
            archive.unlink(missing_ok=True)


def _find_fetched(manifest: Manifest) -> Release:
    release = find_release(model_cache(), manifest.name, manifest.version)
    if release.manifest != manifest:
        raise RepositoryError(
            f"{release.folder} is not the {manifest.name} of the index; "
            "remove it with dcgan-zoo remove, then fetch again"
        )
    return release


def _removal_lock() -> AbstractContextManager[None]:
    """Lets one process at a time remove models."""
    return wait_for_lock(private_folder("downloads") / "remove.lock", "remove a model")


def _empty_trash(cache: Path) -> None:
    """Deletes what killed removals have left; call it under the lock."""
    for trash in cache.glob(f"{_TRASH}*"):
        shutil.rmtree(trash, ignore_errors=True)


def _remove_folder(folder: Path, cache: Path) -> None:
    """Removes a folder; it disappears for all readers immediately, before it is deleted."""
    try:
        trash = Path(tempfile.mkdtemp(prefix=_TRASH, dir=cache))
        folder.rename(trash / folder.name)
        shutil.rmtree(trash)
    except OSError as error:
        raise RepositoryError(f"cannot remove {folder}: {error.strerror}") from None
