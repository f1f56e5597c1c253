"""Where images come from: names, pictures and labels, not yet decoded.

A source is a folder of images (class subfolders are labels), a zip as StyleGAN2-ADA and EDM use it (images, and labels
in `dataset.json`), or one of the data sets that libraries bring: `digits` (scikit-learn) and `cifar10` (torchvision).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.training.errors import TrainingError
from dcgan.zoo.home import home

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with these endings, in any case, are images."""

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
    """

    name: str
    items: tuple[str, ...]
    open: Callable[[int], Image.Image]
    labels: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()


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
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _archive(path)
    raise TrainingError(f"there is no data source {source!r:.200}; name a folder of images, a .zip, cifar10 or digits")


def _digits() -> Source:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second, and only this source needs it

    digits = load_digits()
    levels = np.round(digits.images * (255.0 / 16.0)).astype(np.uint8)  # [1797, 8, 8], 0 to 16 before
    images = np.pad(levels, ((0, 0), (1, 1), (1, 1)))  # a dark margin, so that they stand apart in a grid
    names = tuple(str(digit) for digit in range(10))
    return _array("scikit-learn digits", images, tuple(int(label) for label in digits.target), names)


def _cifar10() -> Source:
    from torchvision.datasets import CIFAR10  # noqa: PLC0415 - only this source needs it

    folder = home() / "data" / "cifar10"
    try:
        data = CIFAR10(str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"cannot download CIFAR-10 ({error!s:.200}); put cifar-10-python.tar.gz into {folder}"
        ) from None
    return _array("CIFAR-10", data.data, tuple(int(label) for label in data.targets), tuple(data.classes))


def _array(name: str, images: NDArray[np.uint8], labels: tuple[int, ...], class_names: tuple[str, ...]) -> Source:
    items = tuple(f"image {i}" for i in range(len(images)))
    return Source(
        name=name, items=items, open=lambda i: Image.fromarray(images[i]), labels=labels, class_names=class_names
    )


def _folder(path: Path) -> Source:
    files = sorted(file.relative_to(path) for file in path.rglob("*") if _is_image(file.name) and file.is_file())
    if not files:
        raise TrainingError(f"the folder {path} has no images; it may have {', '.join(sorted(ENDINGS))}")
    items = tuple(file.as_posix() for file in files)
    in_classes = all(len(file.parts) > 1 for file in files)
    classes = sorted({file.parts[0] for file in files}) if in_classes else []
    number = {name: i for i, name in enumerate(classes)}
    labels = tuple(number[file.parts[0]] for file in files) if len(classes) > 1 else None
    names = tuple(classes) if labels else ()
    return Source(
        name=path.resolve().name,
        items=items,
        open=lambda i: _open_file(path / items[i]),
        labels=labels,
        class_names=names,
    )


def _open_file(path: Path) -> Image.Image:
    if path.stat().st_size > _MOST_FILE_BYTES:
        raise TrainingError(f"the image {path} has over 256 MiB; shrink it or take it out")
    return Image.open(path)


def _archive(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(f"cannot read {path} as a zip of images: {error}") from None
    sizes = {entry.filename: entry.file_size for entry in archive.infolist() if _is_image(entry.filename)}
    items = tuple(sorted(sizes))
    if not items:
        raise TrainingError(f"the zip {path} has no images; it may have {', '.join(sorted(ENDINGS))}")
    labels, class_names = _read_labels(archive, items)

    def open_entry(i: int) -> Image.Image:
        if sizes[items[i]] > _MOST_FILE_BYTES:  # the zip's own word; reading stops there if it lies
            raise TrainingError(f"the image {items[i]} in {path} has over 256 MiB; shrink it or take it out")
        return Image.open(io.BytesIO(archive.read(items[i])))

    return Source(name=path.name, items=items, open=open_entry, labels=labels, class_names=class_names)


def _read_labels(archive: zipfile.ZipFile, items: tuple[str, ...]) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Reads `dataset.json`: {"labels": [[name, class], ...] or null, "class_names": [...] if it has them}."""
    where = f"dataset.json in {archive.filename}"
    try:
        if archive.getinfo("dataset.json").file_size > _MOST_LABELS_BYTES:
            raise TrainingError(f"{where} has over 1 GiB, which no list of labels has")
        table = json.loads(archive.read("dataset.json"))
    except KeyError:
        return None, ()
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(table, dict) or not table.get("labels"):
        return None, ()
    try:
        by_name = {str(name): label for name, label in table["labels"]}
        labels = tuple(_check_label(by_name[item], item, where) for item in items)
        names = tuple(str(name) for name in table.get("class_names", ()))
    except (TypeError, ValueError):
        raise TrainingError(f"{where} must hold pairs of an image and its class") from None
    except KeyError as error:
        raise TrainingError(f"{where} has no label for the image {error.args[0]}") from None
    if names and max(labels) >= len(names):
        raise TrainingError(f"{where} has the class {max(labels)} but only {len(names)} class names")
    return labels, names


def _check_label(label: object, item: str, where: str) -> int:
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < _MOST_CLASSES:
        raise TrainingError(f"{where} gives the image {item} the class {label!r:.40}, not 0 to {_MOST_CLASSES - 1}")
    return label


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")
