"""A model folder as one file: a plain tar archive with the manifest first, the same bytes for the same model."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from dcgan.core.schema import parse_json
from dcgan.zoo.manifest import FILE_NAME, Manifest
from dcgan.zoo.repository import Release, RepositoryError, publish, read_release

_MOST_FILES = 1000
_MOST_MANIFEST_BYTES = 2**20


def pack(release: Release, target: Path) -> None:
    """Writes a released model as an archive.

    Raises:
        RepositoryError: if a file is not what the manifest says.
    """
    release.verify()
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in (FILE_NAME, *(file.path for file in release.manifest.files)):
            path = release.folder / name
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)


def unpack(
    archive: Path, repository: Path, source: str, promised: Manifest | None = None
) -> Release:
    """Puts the model of an archive into a repository, if it is exactly what its manifest says.

    Args:
        archive: the file; not to be trusted.
        repository: where the model goes.
        source: what to call the archive in errors.
        promised: the manifest that it must have, if that is known.

    Raises:
        RepositoryError: if it is damaged, holds anything but the files of its manifest or another model than was
            promised, or the version exists.
        ManifestError, SchemaError: if its manifest is not valid.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            members = _members(tar, archive.stat().st_size, source)
            manifest = parse_json(
                Manifest, _read_manifest(tar, members, source), f"the manifest of {source}"
            )
            if promised not in (None, manifest):
                found = f"version {manifest.version} of {manifest.name!r}"
                raise RepositoryError(
                    f"{source} holds {found}, which is not what the index promised; tell who keeps it"
                )
            _check_members(members, manifest, source)
            with publish(repository, manifest.name, manifest.version) as folder:
                for member in members.values():
                    with (
                        _open(tar, member, source) as packed,
                        (folder / member.name).open("wb") as file,
                    ):
                        shutil.copyfileobj(packed, file)
                read_release(folder).verify()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise RepositoryError(f"{source} is no archive of a model, or damaged: {error}") from None
    return read_release(repository / manifest.name / str(manifest.version))


def _members(tar: tarfile.TarFile, most_bytes: int, source: str) -> dict[str, tarfile.TarInfo]:
    """The members by name, each an ordinary file, together no larger than the archive; nothing is written yet."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        sparse = member.issparse() or any(
            key.startswith("GNU.sparse") for key in member.pax_headers
        )
        if sparse or member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise RepositoryError(f"{source} holds {member.name!r:.80}, which is no ordinary file")
        if member.name in members or len(members) == _MOST_FILES:
            raise RepositoryError(
                f"{source} holds {member.name!r:.80} twice, or more than {_MOST_FILES} files"
            )
        members[member.name] = member
        if sum(member.size for member in members.values()) > most_bytes:
            raise RepositoryError(f"{source} claims to hold more than its own size")
    return members


def _read_manifest(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], source: str) -> str:
    member = members.get(FILE_NAME)
    if member is None or member.size > _MOST_MANIFEST_BYTES:
        raise RepositoryError(
            f"{source} is no archive of a model: it has no {FILE_NAME} of a sane size"
        )
    with _open(tar, member, source) as file:
        return file.read().decode("utf-8")


def _check_members(members: dict[str, tarfile.TarInfo], manifest: Manifest, source: str) -> None:
    """Every member must be listed: this is also what keeps paths such as `../x` out, for a manifest cannot name one."""
    sizes = {file.path: file.bytes for file in manifest.files}
    for name, member in members.items():
        if name != FILE_NAME and sizes.get(name) != member.size:
            raise RepositoryError(
                f"{source} holds {name!r:.80}, which its manifest does not list with that size"
            )
    missing = sorted(sizes.keys() - members.keys())
    if missing:
        raise RepositoryError(f"{source} lacks the file {missing[0]} that its manifest lists")


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> io.BufferedReader:
    file = tar.extractfile(member)
    if not isinstance(file, io.BufferedReader):
        raise RepositoryError(f"{source} holds {member.name!r:.80}, which cannot be read")
    return file
