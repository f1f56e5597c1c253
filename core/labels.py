"""Labels of conditional models, as numbers or by the names of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dcgan.core.text import printable

_MAX_SHOWN_NAMES = 20
_MAX_SHOWN_CHARACTERS = 500
_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")


def find_label(text: str, classes: int, class_names: Sequence[str]) -> int | None:
    """Finds the label that a text means.

    A number below the number of classes is a label itself. Names are compared without regard to
    case; the first of several equal ones counts.

    Args:
        text: a number or the name of a class.
        classes: number of classes.
        class_names: one for each class, or none.

    Returns:
        0 to classes - 1, or None if there is no such class.
    """
    if _INTEGER.fullmatch(text) and int(text) < classes:
        return int(text)

    folded = text.casefold()
    for label, name in enumerate(class_names):
        if name.casefold() == folded:
            return label
    return None


def describe_labels(classes: int, class_names: Sequence[str]) -> str:
    """Returns which labels a model has, for an error message."""
    names = ""
    if class_names:
        more = ", ..." if len(class_names) > _MAX_SHOWN_NAMES else ""
        shown = printable(", ".join(class_names[:_MAX_SHOWN_NAMES]), _MAX_SHOWN_CHARACTERS)
        names = f" or one of {shown}{more}"
    return f"0 to {classes - 1}{names}"
