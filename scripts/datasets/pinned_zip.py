"""Writes a data set as a StyleGAN zip, and compares it with the digests that its script pins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import numpy as np
from install import DatasetError
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.training.data.dataset import Dataset, dataset_digest
from dcgan.training.data.stylegan_zip import write_stylegan_zip


def write_pinned_zip(
    out: Path,
    images: Pixels,
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    *,
    pixels_sha256: str | None,
    zip_sha256: str | None,
) -> None:
    """Writes the zip and prints its digest.

    The pixels must be the pinned ones. The bytes of the zip also depend on how Pillow's zlib
    compresses, so that another build of Pillow may give another zip of the same images; that is
    said, and is not an error.

    Args:
        out: the zip, which must not exist.
        images: uint8 [N, size, size, channels].
        labels: int64 [N].
        class_names: one for each class.
        pixels_sha256: digest that images and labels must have; None takes any (a data set of
            another size).
        zip_sha256: digest that the zip should have.

    Raises:
        DatasetError: if images or labels have another digest; nothing is written then.
        TrainingError: if the zip exists already or cannot be written.
    """
    digest = dataset_digest(images, labels)
    if pixels_sha256 not in (None, digest):
        raise DatasetError(
            f"the images have sha256 {digest[:16]}..., "
            f"not the pinned {str(pixels_sha256)[:16]}...; "
            "use the versions of constraints.txt on x86-64 Linux"
        )

    dataset = Dataset(
        name=out.stem, images=images, labels=labels, class_names=class_names, sha256=digest
    )
    write_stylegan_zip(dataset, out)

    with out.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    click.echo(f"{out}: {len(images):,} images, {len(class_names)} classes, sha256 {found}")
    if zip_sha256 not in (None, found):
        click.echo(
            f"the images are the pinned ones; the zip is not (sha256 {str(zip_sha256)[:16]}...), "
            "because this build of Pillow compresses in another way"
        )
