"""Data sets as StyleGAN2-ADA and EDM read them: a zip of PNG files of one size, with `dataset.json`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from dcgan.core.atomic import replacing
from dcgan.core.images import encode_png
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.sources import LABELS
from dcgan.training.errors import TrainingError

_DATE = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal data give equal bytes


def pack(dataset: Dataset, out: Path) -> None:
    """Writes a data set into a zip, whole or not at all.

    Raises:
        TrainingError: if there is such a file already, or the disk refuses.
    """
    check_absent(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(out) as staging,
            zipfile.ZipFile(staging, "w", zipfile.ZIP_STORED) as archive,
        ):
            names = [f"{i // 1000:05d}/img{i:08d}.png" for i in range(len(dataset.images))]
            for name, image in zip(names, dataset.images, strict=True):
                archive.writestr(zipfile.ZipInfo(name, _DATE), encode_png(image))
            archive.writestr(zipfile.ZipInfo(LABELS, _DATE), json.dumps(_table(dataset, names)))
    except OSError as error:
        raise TrainingError(
            f"cannot write {out}: {error.strerror}; make room or choose another place"
        ) from None


def check_absent(out: Path) -> None:
    """Checks that a zip can get this name.

    Raises:
        TrainingError: if there is such a file already.
    """
    if out.exists():
        raise TrainingError(f"{out} exists; choose another name for the zip")


def _table(dataset: Dataset, names: list[str]) -> dict[str, object]:
    if dataset.labels is None:
        return {"labels": None}
    pairs = [[name, label] for name, label in zip(names, dataset.labels.tolist(), strict=True)]
    return {"labels": pairs, "class_names": list(dataset.class_names)}
