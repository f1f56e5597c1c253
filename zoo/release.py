"""A released model: a folder with its manifest and files, immutable once written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.atomic import is_special, resolves_below
from dcgan.core.bounded import read_bounded
from dcgan.core.errors import DcganError
from dcgan.core.schema import SchemaError, parse_json
from dcgan.core.text import printable
from dcgan.zoo.manifest import (
    FILE_NAME,
    SCHEMA_VERSION,
    Manifest,
    ManifestError,
    ModelFile,
)
from dcgan.zoo.onnx_check import MAX_FILE_BYTES, check_onnx_file

MAX_MANIFEST_BYTES = 2**20
"""Largest manifest that is read."""

_MAX_CARD_BYTES = 2**20
_VOLUME_PREFIX = ".."  # of ..data, through which volumes of Kubernetes are updated at once

_CURE = "export the model again, or remove it with dcgan-zoo remove and fetch it again"


class RepositoryError(DcganError):
    """A model folder that is missing, unreadable or already taken."""


class CorruptModelError(RepositoryError):
    """A model folder that differs from its manifest."""


@dataclass(frozen=True)
class Release:
    """One version of one model, on disk.

    Attributes:
        folder: that holds it.
        manifest: its manifest.
    """

    folder: Path
    manifest: Manifest

    def path(self, file: ModelFile) -> Path:
        """Returns the path of one of its files."""
        return self.folder / file.path

    def read_card(self, file: ModelFile) -> str:
        """Returns the text of the model card.

        Raises:
            RepositoryError: if it cannot be read, or has over 1 MiB.
        """
        try:
            return read_bounded(self.path(file), _MAX_CARD_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise RepositoryError(f"cannot read {self.path(file)}: {error.strerror}") from None

    def verify(self) -> None:
        """Verifies that the folder holds the files of the manifest, and safe ONNX graphs.

        Raises:
            CorruptModelError: names the first file that differs from the manifest.
            RepositoryError: if a file cannot be read.
            UnsafeGraphError: if an ONNX file holds what no released graph needs.
        """
        self.verify_listing()
        for file in self.manifest.files:
            if file.role == "onnx":
                content = self.read_file(file)
                check_onnx_file(self.path(file), self.manifest, content)
            else:
                self.verify_file(file)

    def verify_listing(self) -> None:
        """Verifies that the folder holds nothing that the manifest does not list.

        Raises:
            CorruptModelError: names a file that it does not list.
            RepositoryError: if the folder cannot be read.
        """
        try:
            found = {
                path.name
                for path in self.folder.iterdir()
                if not path.name.startswith(_VOLUME_PREFIX)
            }
        except OSError as error:
            raise _unreadable(self.folder, error) from None

        unlisted = sorted(found - {FILE_NAME} - {file.path for file in self.manifest.files})
        if unlisted:
            raise CorruptModelError(
                f"{self.folder} holds {printable(unlisted[0], 80)!r}, which its manifest does not "
                "list; remove it, or move it elsewhere"
            )

    def verify_file(self, file: ModelFile) -> None:
        """Verifies the SHA-256 of one file.

        Raises:
            CorruptModelError: if it differs from the manifest.
            RepositoryError: if it cannot be read.
        """
        path = self.path(file)
        try:
            found = sha256(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        _check_digest(path, file, found)

    def read_file(self, file: ModelFile) -> bytes:
        """Reads a whole file and verifies its SHA-256, with a single access to the disk.

        Raises:
            CorruptModelError: if it differs from the manifest.
            RepositoryError: if it cannot be read, or is larger than a graph may be.
        """
        path = self.path(file)
        if file.bytes > MAX_FILE_BYTES:
            raise RepositoryError(
                f"{path} has over {MAX_FILE_BYTES // 2**20} MiB, more than a graph that is loaded "
                "may have; export a smaller model"
            )
        try:
            content = read_bounded(path, file.bytes)
        except OSError as error:
            raise _unreadable(path, error) from None
        _check_digest(path, file, hashlib.sha256(content).hexdigest())
        return content


def read_release(folder: Path) -> Release:
    """Reads the manifest of a model folder and checks that its files exist with the right sizes.

    Raises:
        CorruptModelError: if a file is missing, a size is wrong, or the manifest is not valid.
        RepositoryError: if the folder has no manifest that can be read.
    """
    try:
        manifest = parse_json(Manifest, _read_manifest(folder), FILE_NAME, SCHEMA_VERSION)
    except (ManifestError, SchemaError) as error:
        raise CorruptModelError(
            f"{folder} has a manifest that is not valid: {error}; {_CURE}"
        ) from None

    for file in manifest.files:
        path = folder / file.path
        _check_kind(path)
        if not path.is_file():
            raise CorruptModelError(
                f"{folder} lacks the file {file.path} that its manifest lists; {_CURE}"
            )
        if path.stat().st_size != file.bytes:
            raise CorruptModelError(
                f"{path} has {path.stat().st_size} bytes, not {file.bytes}; {_CURE}"
            )
    return Release(folder, manifest)


def describe_file(path: Path, role: str, precision: str | None = None) -> ModelFile:
    """Returns the entry of a file for the manifest in the same folder."""
    return ModelFile(
        role=role,
        path=path.name,
        bytes=path.stat().st_size,
        sha256=sha256(path),
        precision=precision,
    )


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> str:
    path = folder / FILE_NAME
    _check_kind(path)
    if not path.is_file():
        raise RepositoryError(f"{folder} is not a model folder: it has no {FILE_NAME}")
    try:
        return read_bounded(path, MAX_MANIFEST_BYTES).decode("utf-8")
    except OSError as error:
        raise RepositoryError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RepositoryError(f"cannot read {path}: it is not UTF-8") from None


def _check_kind(path: Path) -> None:
    """Checks that a file in a model folder is no special file, nor a link out of the folder."""
    if path.is_symlink() and not resolves_below(path, path.parent.resolve()):
        raise CorruptModelError(
            f"{path} is a link that leads out of the model folder; put a copy in its place"
        )
    if is_special(path) or path.is_dir():
        raise CorruptModelError(f"{path} is not a regular file; {_CURE}")


def _check_digest(path: Path, file: ModelFile, found: str) -> None:
    if found != file.sha256:
        raise CorruptModelError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., not {file.sha256[:12]}...; {_CURE}"
        )


def _unreadable(path: Path, error: OSError) -> RepositoryError:
    return RepositoryError(
        f"cannot read {path}: {error.strerror}; give this user the right to read it"
    )
