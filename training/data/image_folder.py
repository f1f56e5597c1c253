"""Folders of images as an image source."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from dcgan.training.data.labels import LABELS, Labels, label_by_folder, parse_labels, too_large
from dcgan.training.data.source import (
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

_MAX_VISITS = 16  # of one folder, through links
_MAX_DEPTH = 1200  # of folders; the system allows two thousand, at quadratic cost


def open_folder(path: Path) -> ImageSource:
    """Opens a folder of images at any depth, through links too.

    Labels come from dataset.json, or else from the first folder of each image.

    Raises:
        TrainingError: if it has no images.
        OSError: if it cannot be read.
    """
    found = list(_walk(path))
    files = sorted(file.relative_to(path) for file in found if file is not None)
    names = [file.as_posix() for file in files]
    ignored = sum(is_ignored(name) for name in names)
    items = tuple(name for name in names if is_image(name) and not is_ignored(name))
    others = other_types(name for name in names if name != LABELS)
    if not items:
        has_others = f", but {others}" if others else ""
        raise TrainingError(
            f"the folder {path} has no images{has_others}; "
            f"it may have {', '.join(sorted(EXTENSIONS))}"
        )

    labels = _read_labels(path, items)
    has_labels_file = (path / LABELS).is_file()
    return ImageSource(
        name=to_utf8_text(path.resolve().name),
        items=items,
        open=lambda i: _open_file(path / items[i]),
        labels=labels.labels,
        class_names=labels.class_names,
        labels_problem=labels.problem,
        skipped=len(found) - len(items) - has_labels_file,
        skipped_types=others,
        ignored=ignored,
        key=source_key((item, *file_stamp(path / item)) for item in (*items, LABELS)),
    )


def _walk(root: Path) -> Iterator[Path | None]:
    """Yields all files below a folder, and None for what cannot be entered or leads nowhere.

    Links to folders are followed, but not to a folder that contains them, which would never end.

    Raises:
        TrainingError: if folders are nested very deeply, or if links lead to one folder in very
            many ways, as those of folders that all link to each other do.
    """
    visits: Counter[tuple[int, int]] = Counter()
    # Strings: a Path of two thousand folders takes milliseconds.
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(root), frozenset())]
    while pending:
        folder, parents = pending.pop()
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in parents:
            continue
        if len(parents) > _MAX_DEPTH:
            raise TrainingError(
                f"the folder {root} has folders nested more than {_MAX_DEPTH:,} deep; move the "
                "images up, or name a folder inside"
            )
        visits[identity] += 1
        if visits[identity] > _MAX_VISITS:
            raise TrainingError(
                to_utf8_text(
                    f"links in {root} lead to the folder {os.path.realpath(folder)} in over "
                    f"{_MAX_VISITS} ways; remove them"
                )
            )

        for path, kind in _list(folder):
            if kind == "folder":
                pending.append((path, parents | {identity}))
            elif kind == "file":
                yield Path(path)
            elif kind == "unreadable":
                yield None


def _list(folder: str) -> Iterator[tuple[str, str]]:
    """Yields the entries of a folder: "folder", "file", "unreadable", or "other"."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except PermissionError:
        yield folder, "unreadable"
        return

    for entry in entries:
        yield entry.path, _kind_of(entry)


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # a link to itself, or into a folder that cannot be entered
        pass
    return "unreadable" if entry.is_symlink() else "other"


def _read_labels(folder: Path, items: tuple[str, ...]) -> Labels:
    path = folder / LABELS
    if not path.is_file():
        return label_by_folder(items)

    where = f"{LABELS} in {folder}"
    return too_large(path.stat().st_size, where, len(items)) or parse_labels(
        path.read_bytes(), where, items
    )


def _open_file(path: Path) -> Image.Image:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UnusableImageError(
            to_utf8_text(f"the image {path} has over 256 MiB"), "shrink or remove it"
        )
    return open_image(path.open("rb"))
