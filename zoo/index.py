"""`index.json`: the models that can be fetched, with address, size and digest of each archive."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.atomic import replacing, write_file
from dcgan.core.bounded import read_bounded
from dcgan.core.errors import CacheError, DcganError
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import private_folder
from dcgan.core.schema import SchemaError, dump_json, parse_json
from dcgan.core.text import printable, public_url
from dcgan.zoo.archive import write_archive
from dcgan.zoo.download import Download, DownloadError, RetryPolicy, download
from dcgan.zoo.http import check_redirect
from dcgan.zoo.manifest import Manifest, ManifestError
from dcgan.zoo.release import Release, sha256
from dcgan.zoo.signature import MAX_BYTES as MAX_SIGNATURE_BYTES
from dcgan.zoo.signature import SUFFIX as SIGNATURE_SUFFIX
from dcgan.zoo.signature import PublicKey, SignatureError, verify_signature
from dcgan.zoo.urls import is_web_url, join_url, split_url

SCHEMA_VERSION = 1
FILE_NAME = "index.json"

logger = logging.getLogger(__name__)
_MAX_INDEX_BYTES = 2**23  # parsing JSON takes up to 40 times its size in memory
_MAX_ARCHIVE_BYTES = 2**33
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """A model that can be fetched.

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
        if not 0 < self.bytes < _MAX_ARCHIVE_BYTES or _SHA256.fullmatch(self.sha256) is None:
            raise ManifestError(
                f"the index has no valid size and SHA-256 for {public_url(self.url)}"
            )


@dataclass(frozen=True, kw_only=True)
class Index:
    """The models that can be fetched from one place."""

    schema_version: int
    models: tuple[IndexEntry, ...]

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ManifestError(
                f"the index has schema version {self.schema_version}, not {SCHEMA_VERSION}; "
                "upgrade dcgan-zoo"
            )
        places = [(entry.manifest.name, entry.manifest.version) for entry in self.models]
        if len(set(places)) < len(places):
            raise ManifestError("the index lists a version of a model twice")


def read_index(
    location: str, retry: RetryPolicy | None = None, key: PublicKey | None = None
) -> Index:
    """Reads an index. A copy of a remote one is kept in the cache and used while it is unreachable.

    Args:
        location: http or https address of an index or of its folder (with a slash at the end), or
            the path of an index or of its folder.
        retry: timeouts and attempts of the download.
        key: the key that must have signed it, with the signature beside it; None for no check.

    Returns:
        The index, with absolute addresses.

    Raises:
        DownloadError: if it cannot be read, or an address leads from the network into this machine
            or from https to http.
        SignatureError: if the signature is wrong, or older than that of the index kept last time.
        ManifestError, SchemaError, UrlError: if it is not valid.
    """
    address = split_url(location, "the address of --index")
    if is_web_url(location):
        is_folder = address.path in ("", "/") or location.endswith("/")
        base = join_url(location, FILE_NAME) if is_folder else location
        index = _read_remote(base, retry, key)
    else:
        path = Path(location)
        path = path / FILE_NAME if path.is_dir() else path
        base = path.resolve().as_uri()
        name = printable(location)
        index = _parse(_load(path, name, is_signed=key is not None), name, key)[0]
    return Index(
        schema_version=SCHEMA_VERSION, models=tuple(_resolve(entry, base) for entry in index.models)
    )


def write_index(releases: list[Release], folder: Path, show: Callable[[str], None]) -> Path:
    """Writes archives of models and an index of them into a folder, for any web server.

    Args:
        releases: the models.
        folder: destination; files of the same names are replaced.
        show: prints a line to the user.

    Raises:
        CorruptModelError: if a model differs from its manifest.
        DownloadError: if the folder cannot be written.
    """
    entries = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for release in releases:
            manifest = release.manifest
            path = folder / f"{manifest.name}-{manifest.version}.tar"
            with replacing(path) as temporary:
                write_archive(release, temporary)

            size = path.stat().st_size
            entries.append(
                IndexEntry(url=path.name, bytes=size, sha256=sha256(path), manifest=manifest)
            )
            show(f"packed {path}")

        document = dump_json(Index(schema_version=SCHEMA_VERSION, models=tuple(entries)))
        write_file(folder / FILE_NAME, document.encode())
        if _signature_of(folder / FILE_NAME).exists():
            show(f"the signature in {folder} is that of the index before; sign it again")
    except OSError as error:
        raise DownloadError(f"cannot write an index to {folder}: {error.strerror}") from None
    return folder / FILE_NAME


@dataclass(frozen=True)
class _Document:
    """An index that is not parsed yet, and its signature if one is required."""

    data: bytes
    signature: bytes | None


def _load(path: Path, name: str, *, is_signed: bool) -> _Document:
    try:
        data = read_bounded(path, _MAX_INDEX_BYTES)
    except OSError as error:
        raise DownloadError(f"cannot read the index {name}: {error.strerror}") from None
    if not is_signed:
        return _Document(data, None)

    try:
        return _Document(data, read_bounded(_signature_of(path), MAX_SIGNATURE_BYTES))
    except OSError as error:
        raise SignatureError(
            f"cannot read the signature of {name}: {error.strerror}; sign it with minisign -S"
        ) from None


def _parse(document: _Document, name: str, key: PublicKey | None) -> tuple[Index, int]:
    """Verifies and then parses an index; returns when it was signed, too, or 0."""
    signed_at = 0
    if key is not None:
        signed_at = verify_signature(document.data, document.signature or b"", key, name)
    try:
        text = document.data.decode("utf-8")
    except UnicodeDecodeError:
        raise DownloadError(f"{name} is not an index: it is not text") from None
    return parse_json(Index, text, f"the index {name}"), signed_at


def _read_remote(url: str, retry: RetryPolicy | None, key: PublicKey | None) -> Index:
    """Downloads an index; keeps it in the cache if there is one and the index is valid."""
    name = public_url(url)
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        kept = private_folder("indexes") / f"{digest}.json"
        with wait_for_lock(kept.with_suffix(".lock"), "download the same index"):
            document = _download(url, retry, is_signed=key is not None)
            index, signed_at = _parse_download(document, name, key)
            if key is not None:
                _check_newer(kept, name, key, signed_at)
            _keep(kept, document)
    except CacheError as error:
        logger.warning("%s; the index is not kept", error)
        document = _download(url, retry, is_signed=key is not None)
        return _parse_download(document, name, key)[0]
    except SignatureError:
        raise
    except DcganError as error:
        if not kept.exists():
            raise
        logger.warning("%s; using the index as it was last time", error)
        return _parse(_load(kept, name, is_signed=key is not None), name, key)[0]
    return index


def _download(url: str, retry: RetryPolicy | None, *, is_signed: bool) -> _Document:
    with tempfile.TemporaryDirectory(prefix="dcgan-index-") as folder:
        path = Path(folder, FILE_NAME)
        download(Download(url=url, max_bytes=_MAX_INDEX_BYTES), path, retry)
        if is_signed:
            address = split_url(url)
            address = address._replace(path=address.path + SIGNATURE_SUFFIX)
            file = Download(url=address.geturl(), max_bytes=MAX_SIGNATURE_BYTES)
            download(file, _signature_of(path), retry)
        return _load(path, public_url(url), is_signed=is_signed)


def _parse_download(document: _Document, name: str, key: PublicKey | None) -> tuple[Index, int]:
    try:
        return _parse(document, name, key)
    except SchemaError as error:
        raise SchemaError(f"{error}; --index takes the address of an {FILE_NAME}") from None


def _check_newer(kept: Path, name: str, key: PublicKey, signed_at: int) -> None:
    """Checks that an index is not an old one, sent again with its right signature."""
    try:
        document = _load(kept, name, is_signed=True)
        last = verify_signature(document.data, document.signature or b"", key, name)
    except DcganError:
        return  # none is kept, or one without a signature of this key
    if signed_at < last:
        raise SignatureError(
            f"{name} is older than last time, by the date in its signature; report it to its "
            f"maintainer, or remove {kept} to accept it"
        )


def _keep(path: Path, document: _Document) -> None:
    try:
        write_file(path, document.data)
        if document.signature is not None:
            write_file(_signature_of(path), document.signature)
    except OSError as error:
        logger.warning("cannot keep the index in %s: %s", path.parent, error.strerror)


def _signature_of(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _resolve(entry: IndexEntry, base: str) -> IndexEntry:
    if split_url(entry.url).username is not None:
        raise ManifestError(
            "the index has an address with a user name, which is never needed there"
        )

    url = join_url(base, entry.url)
    if is_web_url(base):
        check_redirect(base, url)
    return IndexEntry(url=url, bytes=entry.bytes, sha256=entry.sha256, manifest=entry.manifest)
