"""Opening what `--data` names: a folder, a zip, digits or cifar10."""

from __future__ import annotations

import stat
from pathlib import Path

from dcgan.training.data.builtin import open_cifar10, open_digits
from dcgan.training.data.image_folder import open_folder
from dcgan.training.data.image_zip import open_zip
from dcgan.training.data.source import ImageSource, to_utf8_text
from dcgan.training.errors import TrainingError


def open_source(name: str) -> ImageSource:
    """Opens an image source.

    Args:
        name: "digits", "cifar10", or the path of a folder or a zip.

    Raises:
        TrainingError: if there is no such source, it cannot be read, or it has no images.
    """
    if not name:
        # As a path it would be the current folder.
        raise TrainingError(
            "the name of the data source is empty; name a folder of images, a .zip, cifar10 or "
            "digits"
        )
    if name == "digits":
        return open_digits()
    if name == "cifar10":
        return open_cifar10()

    path = Path(name)
    try:
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            return open_folder(path)
        if stat.S_ISREG(mode):
            return open_zip(path)
    except OSError as error:
        raise TrainingError(f"cannot read {to_utf8_text(name):.200}: {error.strerror}") from None
    raise TrainingError(
        f"there is no data source {name!r:.200}; name a folder of images, a .zip, cifar10 or digits"
    )


def _mode(path: Path) -> int:
    """Returns the type and the permissions of a path, 0 if there is none.

    `Path.is_dir` hides other errors since Python 3.14, such as a path that is too long.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null character
        return 0
