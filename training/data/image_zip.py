"""Zip archives of images as an image source."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dcgan.training.data.labels import LABELS, Labels, label_by_folder, parse_labels, too_large
from dcgan.training.data.source import (
    DECODE_ERRORS,
    EXTENSIONS,
    MAX_FILE_BYTES,
    ImageSource,
    file_stamp,
    is_ignored,
    is_image,
    open_image,
    other_types,
    source_key,
    to_utf8_text,
)
from dcgan.training.errors import TrainingError, UnusableImageError

_MIN_HEADER_BYTES = 30  # of an entry, before its name


def open_zip(path: Path) -> ImageSource:
    """Opens a zip of images.

    Labels come from dataset.json, as StyleGAN2-ADA and EDM write it, or else from class folders.

    Raises:
        TrainingError: if it is not a zip, has overlapping entries or two files of one name, or has
            no images.
        OSError: if it cannot be read.
    """
    archive = _open_archive(path)
    files = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    sizes = {entry.filename: entry.file_size for entry in files}
    ignored = sum(is_ignored(name) for name in sizes)
    items = tuple(sorted(name for name in sizes if is_image(name) and not is_ignored(name)))
    others = other_types(name for name in sizes if name != LABELS)
    if not items:
        has_others = f", but {others}" if others else ""
        raise TrainingError(
            f"the zip {path} has no images{has_others}; it may have {', '.join(sorted(EXTENSIONS))}"
        )
    if len(sizes) < len(files):
        raise TrainingError(f"the zip {path} has two files of one name; create it again")

    def open_entry(i: int) -> Image.Image:
        # zipfile stops reading at the declared size, even if the data go on.
        if sizes[items[i]] > MAX_FILE_BYTES:
            raise UnusableImageError(
                to_utf8_text(f"the image {items[i]} in {path} has over 256 MiB"),
                "shrink or remove it",
            )
        return open_image(io.BytesIO(_read_entry(archive, items[i])))

    labels = _read_labels(archive, sizes.get(LABELS), items)
    used = [archive.getinfo(name) for name in (*items, *({LABELS} & sizes.keys()))]
    return ImageSource(
        name=to_utf8_text(path.name),
        items=items,
        open=open_entry,
        labels=labels.labels,
        class_names=labels.class_names,
        labels_problem=labels.problem,
        skipped=len(files) - len(items) - (LABELS in sizes),
        skipped_types=others,
        ignored=ignored,
        # CRC-32 can be forged; the stamp keeps another zip from taking the place of this one.
        key=source_key(
            [
                file_stamp(path),
                *((entry.filename, entry.file_size, entry.CRC) for entry in used),
            ]
        ),
    )


class _File(io.FileIO):
    """A file that is closed with its last reference, without a warning."""

    def __del__(self) -> None:
        self.close()


class _BoundedReader(io.BufferedReader):
    """A file without single reads of gigabytes, which holes on disk make for free.

    It is closed with its last reference, as `zipfile` does with files that it opens.
    """

    def __del__(self) -> None:
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_FILE_BYTES:
            raise zipfile.BadZipFile("its directory or an entry has over 256 MiB")
        return super().read(size)


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a file of an archive.

    Raises:
        zipfile.BadZipFile: if it is compressed by another method than deflate. For those, zipfile
            unpacks all of the data at once, whatever size they declare.
    """
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("it is compressed by another method than deflate")
    return archive.read(name)


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(_BoundedReader(_File(path)))
    except DECODE_ERRORS as error:
        raise TrainingError(
            f"cannot read {path} as a zip of images: {error!s:.200}; create it again or choose "
            "another --data"
        ) from None

    _check_overlap(archive, path)
    return archive


def _check_overlap(archive: zipfile.ZipFile, path: Path) -> None:
    """Checks that no entries share data, as in zips that unfold to terabytes.

    Source of such zips: Fifield, "A better zip bomb", WOOT 2019.
    """
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise TrainingError(f"the zip {path} has entries that overlap; create it again")
        end = entry.header_offset + _MIN_HEADER_BYTES + entry.compress_size


def _read_labels(archive: zipfile.ZipFile, size: int | None, items: tuple[str, ...]) -> Labels:
    if size is None:
        return label_by_folder(_without_common_folder(items))

    where = f"{LABELS} in {archive.filename}"
    refused = too_large(size, where, len(items))
    if refused is not None:
        return refused
    try:
        data = _read_entry(archive, LABELS)
    except DECODE_ERRORS as error:
        return Labels(problem=f"cannot read {where}: {error!s:.200}; create the zip again")
    return parse_labels(data, where, items)


def _without_common_folder(items: Sequence[str]) -> Sequence[str]:
    """Removes the folders that all items share: archivers put everything into one."""
    # All names begin with what the first and the last in alphabetical order have in common.
    common = os.path.commonprefix([min(items), max(items)])  # noqa: RUF071 - cut below
    start = common.rfind("/") + 1
    return [item[start:] for item in items]
