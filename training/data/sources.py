"""Where images come from: names, pictures and labels, not yet decoded.

A source is a folder of images (class subfolders are labels), a zip as StyleGAN2-ADA and EDM use it (images, and labels
in `dataset.json`), or one of the data sets that libraries bring: `digits` (scikit-learn) and `cifar10` (torchvision).
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.core.atomic import is_disk_full
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.training.errors import TrainingError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with these endings, in any case, are images."""

UNREADABLE = (
    *(
        OSError,
        ValueError,
        RuntimeError,
        SyntaxError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    ),
    *(
        struct.error,
        TypeError,
        LookupError,
        ArithmeticError,
    ),  # tags of another type or length than they say
)
"""What Pillow and zipfile raise for files that are damaged, encrypted or of an unknown kind."""

LABELS = "dataset.json"
_MOST_FILE_BYTES = 2**28
_MOST_LABELS_BYTES = 2**30
_MOST_CLASSES = 2**16


@dataclass(frozen=True, kw_only=True)
class Source:
    """Images that can be opened one by one.

    Attributes:
        name: for people, without a path.
        items: name of each image, in the order that numbers them.
        open: gives image i, perhaps not yet decoded.
        labels: class of each image; None without classes.
        class_names: one for each class, or none.
        skipped: how many files were left out because they are no images.
        key: digest of names, sizes and dates or checksums, by which the decoded images can be found again; None where
            they are in memory anyway.
    """

    name: str
    items: tuple[str, ...]
    open: Callable[[int], Image.Image]
    labels: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    skipped: int = 0
    key: str | None = None


def open_source(source: str) -> Source:
    """Opens what `--data` names.

    Raises:
        TrainingError: if there is no such source, it cannot be read, or it has no images.
    """
    if source == "digits":
        return _digits()
    if source == "cifar10":
        return _cifar10()
    path = Path(source)
    try:
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _archive(path)
    except OSError as error:
        raise TrainingError(f"cannot read {clean(source):.200}: {error.strerror}") from None
    raise TrainingError(
        f"there is no data source {source!r:.200}; name a folder of images, a .zip, cifar10 or digits"
    )


def clean(text: str) -> str:
    """Text that can be written as UTF-8; file names and JSON may hold what cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _digits() -> Source:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second, and only this source needs it

    digits = load_digits()
    levels = np.round(digits.images * (255.0 / 16.0)).astype(
        np.uint8
    )  # [1797, 8, 8], 0 to 16 before
    images = np.pad(
        levels, ((0, 0), (1, 1), (1, 1))
    )  # a dark margin, so that they stand apart in a grid
    names = tuple(str(digit) for digit in range(10))
    return _array(
        "scikit-learn digits", images, tuple(int(label) for label in digits.target), names
    )


def _cifar10() -> Source:
    from torchvision.datasets import CIFAR10  # noqa: PLC0415 - only this source needs it

    folder = cache_dir() / "data" / "cifar10"
    try:
        # Two processes would otherwise write one archive.
        with wait_for_lock(folder.with_suffix(".lock"), "download CIFAR-10"):
            data = CIFAR10(str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        if is_disk_full(error):
            raise TrainingError(
                f"cannot keep CIFAR-10 in {folder}: {error.strerror}; make room or set DCGAN_HOME"
            ) from None
        raise TrainingError(
            f"cannot download CIFAR-10 ({error!s:.200}); put cifar-10-python.tar.gz into {folder}"
        ) from None
    return _array(
        "CIFAR-10", data.data, tuple(int(label) for label in data.targets), tuple(data.classes)
    )


def _array(
    name: str, images: NDArray[np.uint8], labels: tuple[int, ...], class_names: tuple[str, ...]
) -> Source:
    items = tuple(f"image {i}" for i in range(len(images)))
    return Source(
        name=name,
        items=items,
        open=lambda i: Image.fromarray(images[i]),
        labels=labels,
        class_names=class_names,
    )


def _folder(path: Path) -> Source:
    found = list(_walk(path))
    files = sorted(file.relative_to(path) for file in found if file is not None)
    items = tuple(file.as_posix() for file in files if _is_image(file.as_posix()))
    if not items:
        raise TrainingError(
            f"the folder {path} has no images; it may have {', '.join(sorted(ENDINGS))}"
        )
    if (path / LABELS).is_file():
        _check_labels_size((path / LABELS).stat().st_size, f"{LABELS} in {path}")
        labels, names = _parse_labels((path / LABELS).read_bytes(), f"{LABELS} in {path}", items)
    else:
        labels, names = _label_by_folder(items)
    return Source(
        name=clean(path.resolve().name),
        items=items,
        open=lambda i: _open_file(path / items[i]),
        labels=labels,
        class_names=names,
        skipped=len(found) - len(items) - (path / LABELS).is_file(),
        key=_key((item, *_stamp(path / item)) for item in (*items, LABELS)),
    )


def _walk(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path | None]:
    """All files below a folder, through links too; None for each that cannot be entered or leads nowhere.

    Args:
        folder: to look in.
        above: the folders that hold it, so that a link to one of them is not followed for ever.
    """
    facts = folder.stat()
    here = (facts.st_dev, facts.st_ino)
    if here in above:
        return
    try:
        with os.scandir(folder) as entries:
            paths = [Path(entry.path) for entry in entries]
    except PermissionError:
        yield None
        return
    for path in paths:
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except PermissionError:  # a link into a folder that is closed
            is_folder = is_file = False
        if is_folder:
            yield from _walk(path, above | {here})
        elif is_file:
            yield path
        elif path.is_symlink():
            yield None


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        facts = path.stat()
    except FileNotFoundError:  # dataset.json need not be there
        return ()
    # Copying can set the time of modification, so that another image may have the old one; nothing sets st_ctime.
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _key(entries: Iterable[tuple[object, ...]]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(repr(entry).encode() + b"\n")
    return digest.hexdigest()


def _label_by_folder(items: tuple[str, ...]) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Takes the first folder of each image for its class, if all lie in folders and there are two or more."""
    classes = sorted({item.partition("/")[0] for item in items})
    if len(classes) < 2 or not all("/" in item for item in items):
        return None, ()
    number = {name: i for i, name in enumerate(classes)}
    return tuple(number[item.partition("/")[0]] for item in items), tuple(
        clean(name) for name in classes
    )


def _open_file(path: Path) -> Image.Image:
    if path.stat().st_size > _MOST_FILE_BYTES:
        raise TrainingError(clean(f"the image {path} has over 256 MiB; shrink it or take it out"))
    return Image.open(path)


def _archive(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise TrainingError(
            f"cannot read {path} as a zip of images: {error!s:.200}; pack it again or name another --data"
        ) from None
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    sizes = {entry.filename: entry.file_size for entry in files}
    items = tuple(sorted(name for name in sizes if _is_image(name)))
    if not items:
        raise TrainingError(
            f"the zip {path} has no images; it may have {', '.join(sorted(ENDINGS))}"
        )
    if len(sizes) < len(files):
        raise TrainingError(f"the zip {path} has two files of one name; pack it again")
    labels, names = _read_labels(archive, sizes.get(LABELS), items)

    def open_entry(i: int) -> Image.Image:
        if sizes[items[i]] > _MOST_FILE_BYTES:  # the zip's own word; reading stops there if it lies
            raise TrainingError(
                clean(f"the image {items[i]} in {path} has over 256 MiB; shrink it or take it out")
            )
        return Image.open(io.BytesIO(archive.read(items[i])))

    skipped = len(files) - len(items) - (LABELS in sizes)
    used = (archive.getinfo(name) for name in (*items, *({LABELS} & sizes.keys())))
    return Source(
        name=clean(path.name),
        items=items,
        open=open_entry,
        labels=labels,
        class_names=names,
        skipped=skipped,
        key=_key((entry.filename, entry.file_size, entry.CRC) for entry in used),
    )


def _read_labels(
    archive: zipfile.ZipFile, size: int | None, items: tuple[str, ...]
) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    where = f"{LABELS} in {archive.filename}"
    if size is None:
        return None, ()
    _check_labels_size(size, where)
    try:
        data = archive.read(LABELS)
    except UNREADABLE as error:
        raise TrainingError(f"cannot read {where}: {error!s:.200}") from None
    return _parse_labels(data, where, items)


def _check_labels_size(size: int, where: str) -> None:
    if size > _MOST_LABELS_BYTES:
        raise TrainingError(
            f"{where} has over 1 GiB, which no list of labels has; mend it or take it out"
        )


def _parse_labels(
    data: bytes, where: str, items: tuple[str, ...]
) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Reads {"labels": [[name, class], ...] or null, "class_names": [...] if it has them}."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where} is not valid JSON: {error}; mend it or take it out") from None
    if not isinstance(table, dict) or not table.get("labels"):
        return None, ()
    try:
        by_name = {str(name): label for name, label in table["labels"]}
        labels = tuple(_check_label(by_name[item], item, where) for item in items)
        names = tuple(clean(str(name)) for name in table.get("class_names", ()))
    except (TypeError, ValueError):
        raise TrainingError(
            f"{where} must hold pairs of an image and its class; mend it or take it out"
        ) from None
    except KeyError as error:
        raise TrainingError(
            f"{where} has no label for the image {error.args[0]}; add one or take the image out"
        ) from None
    if len(by_name) < len(table["labels"]):
        raise TrainingError(f"{where} names an image twice")
    if names and max(labels) >= len(names):
        raise TrainingError(
            f"{where} has the class {max(labels)} but only {len(names)} class names; mend it or take it out"
        )
    return labels, names


def _check_label(label: object, item: str, where: str) -> int:
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < _MOST_CLASSES:
        raise TrainingError(
            f"{where} gives the image {item} the class {label!r:.40}, not 0 to {_MOST_CLASSES - 1}"
        )
    return label


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not any(part.startswith(".") for part in path.parts)
