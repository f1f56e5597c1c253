"""`index.json`: which models can be fetched, from where, with the size and digest of each archive."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from dcgan.core.atomic import replacing, write_file
from dcgan.core.errors import DcganError
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.core.schema import dump_json, parse_json
from dcgan.zoo.archive import pack
from dcgan.zoo.download import Download, DownloadError, RetryPolicy, download, split_url
from dcgan.zoo.manifest import Manifest, ManifestError
from dcgan.zoo.repository import Release, sha256

SCHEMA_VERSION = 1
FILE_NAME = "index.json"

_LOG = logging.getLogger(__name__)
_MOST_INDEX_BYTES = 2**26
_MOST_ARCHIVE_BYTES = 2**33
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One model that can be fetched.

    Attributes:
        url: of its archive, absolute or relative to the index.
        bytes: size of the archive.
        sha256: digest of the archive, in hexadecimal.
        manifest: of the model inside.
    """

    url: str
    bytes: int
    sha256: str
    manifest: Manifest

    def __post_init__(self) -> None:
        if not 0 < self.bytes < _MOST_ARCHIVE_BYTES or _SHA256.fullmatch(self.sha256) is None:
            raise ManifestError(f"the index has no sane size and SHA-256 for {self.url!r:.100}")


@dataclass(frozen=True, kw_only=True)
class Index:
    """Models that can be fetched."""

    schema_version: int
    models: tuple[IndexEntry, ...]

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ManifestError(
                f"the index has schema version {self.schema_version}, not {SCHEMA_VERSION}; upgrade"
            )
        places = [(entry.manifest.name, entry.manifest.version) for entry in self.models]
        if len(set(places)) < len(places):
            raise ManifestError("the index lists a version of a model twice")


def read_index(location: str, retry: RetryPolicy | None = None) -> Index:
    """Reads an index. One from the network is kept, and the kept one serves while the network is away.

    Args:
        location: http or https address of an index; or an index file, or the folder it lies in.
        retry: with the server.

    Returns:
        The index, the address of each archive made absolute.

    Raises:
        DownloadError: if it cannot be had, or points from the network into this machine.
        ManifestError, SchemaError: if it is not valid.
    """
    if split_url(location).scheme in ("http", "https"):
        base, index = location, _read_remote(location, retry)
    else:
        path = Path(location)
        path = path / FILE_NAME if path.is_dir() else path
        base, index = path.resolve().as_uri(), _read(path, location)
    return Index(
        schema_version=SCHEMA_VERSION, models=tuple(_resolve(entry, base) for entry in index.models)
    )


def write_index(releases: list[Release], folder: Path, show: Callable[[str], None]) -> Path:
    """Writes the archive of each model, and an index of them, into a folder that any web server can serve.

    Raises:
        RepositoryError: if a model is damaged.
        DownloadError: if the folder cannot be written.
    """
    entries = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for release in releases:
            manifest = release.manifest
            path = folder / f"{manifest.name}-{manifest.version}.tar"
            with replacing(path) as fresh:
                pack(release, fresh)
            size = path.stat().st_size
            entries.append(
                IndexEntry(url=path.name, bytes=size, sha256=sha256(path), manifest=manifest)
            )
            show(f"packed {path}")
        index = folder / FILE_NAME
        document = dump_json(Index(schema_version=SCHEMA_VERSION, models=tuple(entries)))
        write_file(index, document.encode())
    except OSError as error:
        raise DownloadError(f"cannot write an index to {folder}: {error.strerror}") from None
    return index


def _read(path: Path, location: str) -> Index:
    try:
        return parse_json(Index, path.read_text(encoding="utf-8"), f"the index {location}")
    except (OSError, UnicodeDecodeError) as error:
        raise DownloadError(f"cannot read the index {location}: {error}") from None


def _read_remote(url: str, retry: RetryPolicy | None) -> Index:
    """Downloads an index, one process at a time, and keeps it only once it has proven to be one."""
    kept = cache_dir() / "indexes" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
    try:
        with (
            wait_for_lock(kept.with_suffix(".lock"), "download the same index"),
            tempfile.TemporaryDirectory(dir=kept.parent) as folder,
        ):
            fresh = Path(folder, FILE_NAME)
            download(Download(url=url, most_bytes=_MOST_INDEX_BYTES), fresh, retry)
            index = _read(fresh, url)
            write_file(kept, fresh.read_bytes())
    except DcganError as error:
        if not kept.exists():
            raise
        _LOG.warning("%s; using the index as it was last time", error)
        return _read(kept, url)
    return index


def _resolve(entry: IndexEntry, base: str) -> IndexEntry:
    split_url(entry.url)  # urljoin would raise an error of its own
    url = urljoin(base, entry.url)
    remote = ("http", "https")
    if split_url(base).scheme in remote and split_url(url).scheme not in remote:
        raise DownloadError(
            f"the index {base:.200} points to {entry.url!r:.100}, which is not on the network"
        )
    return IndexEntry(url=url, bytes=entry.bytes, sha256=entry.sha256, manifest=entry.manifest)
