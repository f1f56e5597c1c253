"""A model folder as one file: a plain tar archive with the manifest first, of reproducible bytes.

Archives come from strangers, so they are not read with `tarfile`, whose extension headers (GNU,
pax) can claim any size and any name. Only the plain entries of POSIX.1-1988 (ustar) are accepted:
regular files with a plain name and an octal size. Everything else is refused before it is read.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcgan.core.schema import parse_json
from dcgan.core.text import printable
from dcgan.zoo.manifest import FILE_NAME, MAX_FILES, Manifest
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.publishing import check_not_fetched, publish
from dcgan.zoo.release import (
    MAX_MANIFEST_BYTES,
    CorruptModelError,
    Release,
    RepositoryError,
    read_release,
)

_BLOCK_BYTES = 512
_COPY_BYTES = 1 << 20
_NAME = re.compile(rb"([A-Za-z0-9][A-Za-z0-9._-]{0,99})\0*")
_OCTAL = re.compile(rb" *([0-7]{1,11})[ \0]+")
_REGULAR = (b"0", b"\0")


@dataclass(frozen=True)
class _Entry:
    """Place of a file in an archive."""

    start: int
    bytes: int


def write_archive(release: Release, target: Path) -> None:
    """Writes a released model as an archive.

    Raises:
        CorruptModelError: if a file differs from the manifest.
        UnsafeGraphError: if an ONNX file holds what no released graph needs.
    """
    release.verify()
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in (FILE_NAME, *(file.path for file in release.manifest.files)):
            path = release.folder / name
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            member.mode = 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)


def extract_archive(
    archive: Path, repository: Path, source: str, promised: Manifest | None = None
) -> Release:
    """Adds the model of an archive to a repository, if it is exactly what its manifest says.

    Args:
        archive: the file, which is not trusted.
        repository: destination of the model.
        source: what to call the archive in errors.
        promised: the manifest that it must contain, if that is known.

    Raises:
        RepositoryError: if the archive is damaged, contains other files than those of its manifest,
            another model than promised or an unsafe graph, or if the version exists.
        ManifestError, SchemaError: if its manifest is not valid.
    """
    with archive.open("rb") as file:
        entries = _read_entries(file, archive.stat().st_size, source)
        text = _read_manifest(file, entries, source)
        manifest = parse_json(Manifest, text, f"the manifest of {source}")
        _check_promise(manifest, promised, source)
        _check_entries(entries, manifest, source)
        check_not_fetched(repository, manifest)

        with publish(repository, manifest.name, manifest.version) as folder:
            for name, entry in entries.items():
                _extract(file, entry, folder / name)
            _verify(folder, source)
    return read_release(repository / manifest.name / str(manifest.version))


def _read_entries(file: BinaryIO, size: int, source: str) -> dict[str, _Entry]:
    """Reads all headers; returns the entries by name."""
    entries: dict[str, _Entry] = {}
    position = 0
    while True:
        file.seek(position)
        header = file.read(_BLOCK_BYTES)
        if len(header) < _BLOCK_BYTES:
            raise RepositoryError(f"{source} is not an archive of a model, or it is truncated")
        if not any(header):
            return entries

        name, length = _parse_header(header, source)
        start = position + _BLOCK_BYTES
        if start + length > size:
            raise RepositoryError(f"{source} is truncated in {name}")
        if name in entries or len(entries) > MAX_FILES:
            raise RepositoryError(f"{source} holds {name} twice, or over {MAX_FILES} files")

        entries[name] = _Entry(start, length)
        position = start + -(-length // _BLOCK_BYTES) * _BLOCK_BYTES


def _parse_header(header: bytes, source: str) -> tuple[str, int]:
    """Returns name and size of a plain entry. Source: POSIX, "pax", "ustar Interchange Format"."""
    checksum = _OCTAL.fullmatch(header[148:156])
    blanked = header[:148] + b" " * 8 + header[156:]
    if checksum is None or int(checksum[1], 8) != sum(blanked):
        raise RepositoryError(f"{source} is not an archive of a model, or it is damaged")

    name = _NAME.fullmatch(header[:100])
    length = _OCTAL.fullmatch(header[124:136])
    is_plain = (
        header[257:265] == b"ustar\x0000"
        and header[156:157] in _REGULAR
        and not any(header[157:257])  # target of a link
        and not any(header[345:500])  # folder
    )
    if name is None or length is None or not is_plain:
        shown = printable(header[:100].rstrip(b"\0").decode("utf-8", "replace"), 80)
        raise RepositoryError(
            f"{source} holds {shown!r}, which is not a plain file; pack it with dcgan-zoo pack"
        )
    return name[1].decode("ascii"), int(length[1], 8)


def _read_manifest(file: BinaryIO, entries: dict[str, _Entry], source: str) -> str:
    entry = entries.get(FILE_NAME)
    if entry is None:
        raise RepositoryError(f"{source} is not an archive of a model: it has no {FILE_NAME}")
    if entry.bytes > MAX_MANIFEST_BYTES:
        raise RepositoryError(f"{source} has a {FILE_NAME} of over 1 MiB, which no manifest is")

    file.seek(entry.start)
    try:
        return file.read(entry.bytes).decode("utf-8")
    except UnicodeDecodeError:
        raise RepositoryError(f"{source} has a {FILE_NAME} that is not UTF-8") from None


def _check_promise(manifest: Manifest, promised: Manifest | None, source: str) -> None:
    if promised not in (None, manifest):
        raise RepositoryError(
            f"{source} holds version {manifest.version} of {manifest.name!r}, "
            "which is not what the index promised; report it to the maintainer of the index"
        )


def _check_entries(entries: dict[str, _Entry], manifest: Manifest, source: str) -> None:
    sizes = {file.path: file.bytes for file in manifest.files}
    for name, entry in entries.items():
        if name != FILE_NAME and sizes.get(name) != entry.bytes:
            raise RepositoryError(
                f"{source} holds {name}, which its manifest does not list with that size"
            )
    missing = sorted(sizes.keys() - entries.keys())
    if missing:
        raise RepositoryError(f"{source} lacks the file {missing[0]} that its manifest lists")


def _verify(folder: Path, source: str) -> None:
    """Verifies the extracted model; an error names the archive, because the folder disappears."""
    try:
        read_release(folder).verify()
    except (CorruptModelError, UnsafeGraphError) as error:
        reason = str(error).replace(f"{folder}/", "")
        raise RepositoryError(f"the model in {source} is refused: {reason}") from None


def _extract(file: BinaryIO, entry: _Entry, target: Path) -> None:
    file.seek(entry.start)
    left = entry.bytes
    with target.open("wb") as output:
        while left:
            piece = file.read(min(left, _COPY_BYTES))
            if not piece:
                raise RepositoryError(f"{target.name} of the archive ends too early")
            output.write(piece)
            left -= len(piece)
