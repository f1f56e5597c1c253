"""Data sets in the format of StyleGAN2-ADA and EDM: a zip of PNG files with `dataset.json`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from dcgan.core.atomic import replacing
from dcgan.core.images import encode_png
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.labels import LABELS
from dcgan.training.errors import TrainingError

# Date of every entry, so that equal data sets give equal bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_stylegan_zip(dataset: Dataset, out: Path) -> None:
    """Writes a data set as a zip, atomically.

    Raises:
        TrainingError: if the file exists, or cannot be written.
    """
    check_absent(out)
    names = [f"{i // 1000:05d}/img{i:08d}.png" for i in range(len(dataset.images))]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(out) as staging,
            zipfile.ZipFile(staging, "w", zipfile.ZIP_STORED) as archive,
        ):
            for name, image in zip(names, dataset.images, strict=True):
                archive.writestr(zipfile.ZipInfo(name, _DATE), encode_png(image))
            labels = json.dumps(_labels_table(dataset, names))
            archive.writestr(zipfile.ZipInfo(LABELS, _DATE), labels)
    except OSError as error:
        raise TrainingError(
            f"cannot write {out}: {error.strerror}; free some space or choose another file"
        ) from None


def check_absent(out: Path) -> None:
    """Checks that the zip does not exist yet.

    Raises:
        TrainingError: if it does.
    """
    if out.exists():
        raise TrainingError(f"{out} exists; choose another name for the zip")


def _labels_table(dataset: Dataset, names: list[str]) -> dict[str, object]:
    if dataset.labels is None:
        return {"labels": None}
    pairs = [[name, label] for name, label in zip(names, dataset.labels.tolist(), strict=True)]
    return {"labels": pairs, "class_names": list(dataset.class_names)}
