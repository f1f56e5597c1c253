"""Labels of images: dataset.json as StyleGAN2-ADA and EDM write it, or class folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dcgan.core.schema import explain_syntax_error
from dcgan.training.data.source import to_utf8_text

LABELS = "dataset.json"
"""Name of the file with labels in a folder or a zip."""

MAX_CLASSES = 2**16

_MAX_NAME = 256  # characters of the name of a class, which every run and model repeats

# Size of dataset.json. JSON takes twenty times its size in memory, so the bound follows the number
# of images: a one-hot vector of a thousand classes needs five kilobytes.
_BASE_BYTES = 2**22
_BYTES_PER_IMAGE = 2**13


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes of images, or why there are none.

    Attributes:
        labels: class of each image; None without classes.
        class_names: one for each class, or none.
        problem: why the labels cannot be used, in a sentence; None if they can, or if there are
            none.
    """

    labels: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    problem: str | None = None


class _LabelError(Exception):
    """Labels that cannot be used."""


def max_labels_bytes(images: int) -> int:
    """Returns the size up to which dataset.json of so many images is read."""
    return _BASE_BYTES + _BYTES_PER_IMAGE * images


def too_large(size: int, where: str, images: int) -> Labels | None:
    """Returns labels with a problem if dataset.json is larger than any list of labels."""
    if size <= max_labels_bytes(images):
        return None
    return Labels(
        problem=f"{where} has {size / 2**20:,.0f} MiB, too much for the labels of {images} images; "
        "fix or remove it"
    )


def parse_labels(data: bytes, where: str, items: Sequence[str]) -> Labels:
    """Parses {"labels": [[name, class], ...] or null, "class_names": [...]}; names may be missing.

    A class is a whole number, also one written as 3.0, or a one-hot vector.

    Args:
        data: content of the file.
        where: what to call it in the problem.
        items: names of the images.
    """
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = explain_syntax_error(error)
        return Labels(problem=f"{where} is not valid JSON: {reason:.200}; fix or remove it")
    if not isinstance(table, dict) or not table.get("labels"):
        return Labels()

    try:
        return _parse_table(table, where, items)
    except _LabelError as error:
        return Labels(problem=str(error))


def label_by_folder(items: Sequence[str]) -> Labels:
    """Takes the first folder of each image as its class, if there are two folders or more."""
    folders = [item.partition("/")[0] if "/" in item else None for item in items]
    classes = sorted({folder for folder in folders if folder is not None})
    if len(classes) < 2:
        return Labels()

    for item, folder in zip(items, folders, strict=True):
        if folder is None:
            name = to_utf8_text(item)
            return Labels(
                problem=f"the image {name} is outside the {len(classes)} class folders; move it "
                "into one of them or remove it"
            )

    if max(map(len, classes)) > _MAX_NAME:
        return Labels(problem=f"a class folder has a name of over {_MAX_NAME} characters")

    number = {name: i for i, name in enumerate(classes)}
    return Labels(
        labels=tuple(number[folder] for folder in folders if folder is not None),
        class_names=tuple(to_utf8_text(name) for name in classes),
    )


def _parse_table(table: dict[str, object], where: str, items: Sequence[str]) -> Labels:
    pairs = table["labels"]
    names = table.get("class_names") or []
    try:
        by_name = {str(name): label for name, label in pairs}  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise _LabelError(
            f"{where} must hold pairs of an image and its class; fix or remove it"
        ) from None

    if not isinstance(names, list) or not all(map(_is_class_name, names)):
        raise _LabelError(
            f"{where} must hold a list of class names of at most {_MAX_NAME} characters; fix or "
            "remove it"
        )
    if len(by_name) < len(pairs):  # type: ignore[arg-type]
        raise _LabelError(f"{where} names an image twice; fix or remove it")
    for item in items:
        if item not in by_name:
            raise _LabelError(
                f"{where} has no label for the image {to_utf8_text(item)}; add one or remove the "
                "image"
            )

    class_names = tuple(to_utf8_text(str(name)) for name in names)
    labels = tuple(_parse_label(by_name[item], item, where) for item in items)
    if class_names and max(labels) >= len(class_names):
        raise _LabelError(
            f"{where} has the class {max(labels)} but only {len(class_names)} class names; fix or "
            "remove it"
        )
    return Labels(labels=labels, class_names=class_names)


def _is_class_name(name: object) -> bool:
    return isinstance(name, str | int | float) and len(str(name)) <= _MAX_NAME


def _parse_label(label: object, item: str, where: str) -> int:
    number = label
    if isinstance(label, float) and label.is_integer():
        number = int(label)
    elif isinstance(label, list) and _is_one_hot(label):
        number = label.index(1)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < MAX_CLASSES:
        return number

    shown = to_utf8_text(f"{label!r:.40}")
    raise _LabelError(
        f"{where} gives the image {to_utf8_text(item)} the class {shown}, not 0 to "
        f"{MAX_CLASSES - 1} or a one-hot vector"
    )


def _is_one_hot(vector: list[object]) -> bool:
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in vector
    )
    return numbers and vector.count(1) == 1 and vector.count(0) == len(vector) - 1
