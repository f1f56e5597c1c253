"""What is evaluated: a released model, a training run (exported first), or a source of images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CPU, open_session
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.features import Progress
from dcgan.evaluation.progress import show_decoding
from dcgan.evaluation.reference import is_grey, sample_order
from dcgan.training.data.cache import load_dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.source import with_image
from dcgan.training.data.sources import open_source
from dcgan.training.run_config import CONFIG
from dcgan.training.run_folder import read_run
from dcgan.zoo.catalog import get_model, local_repositories
from dcgan.zoo.manifest import FILE_NAME, check_name
from dcgan.zoo.release import Release, read_release
from dcgan.zoo.repository import versions_of

LIBRARY_SOURCES = ("digits", "cifar10")
"""Data sets that libraries bring; a model of the same name comes first."""

_BATCH = 50
_LARGEST = 1024  # images of a source that is evaluated are taken at their size, up to this


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Images to evaluate.

    Attributes:
        name: to show in reports.
        facts: what the images depend on, as JSON values.
        image_size: height and width.
        channels: 3 or 1.
        classes: number of classes that can be asked for, 0 without labels.
        release: the model, where there is one that can be published anew.
        images: makes n images, uint8 [n, H, H, C], of labels, int64 [n], which are None without
            classes.
    """

    name: str
    facts: dict[str, str | int]
    image_size: int
    channels: int
    classes: int
    images: Callable[[int, NDArray[np.int64] | None], Pixels]
    release: Release | None = None


def open_subject(
    what: str, *, precision: str, seed: int, progress: Progress, show: Callable[[str], None]
) -> Subject:
    """Opens the subject that the command line names.

    Args:
        what: name or folder of a model, folder of a training run, or a source of images.
        precision: of the model's ONNX file.
        seed: of the images of a model; of the sample, for a source of images.
        progress: shows how far generation is.
        show: prints lines to the user.

    Raises:
        DcganError: if it does not exist or is damaged.
    """
    path = Path(what)
    if (path / FILE_NAME).is_file():
        return _of_model(read_release(path), precision, seed, progress)
    if (path / CONFIG).is_file():
        _check_precision(precision, f"the run {path.name}")
        return _of_run(path, seed, progress, show)
    if path.exists() or _is_library_source(what):
        _check_precision(precision, f"{what:.100}, a source of images,")
        return _of_source(what, seed)

    return _of_model(get_model(what).release, precision, seed, progress)


def _is_library_source(what: str) -> bool:
    check_name(what)
    is_model = any(versions_of(repository, what) for repository in local_repositories())
    return not is_model and what in LIBRARY_SOURCES


def _check_precision(precision: str, what: str) -> None:
    if precision != "fp32":
        raise EvaluationError(
            f"{what} has no file in {precision}; --precision goes with an exported model"
        )


def _of_model(release: Release, precision: str, seed: int, progress: Progress) -> Subject:
    manifest = release.manifest
    file = manifest.file("onnx", precision)
    if file is None:
        raise EvaluationError(
            f"{manifest.name} has no ONNX file in {precision}; choose another --precision"
        )
    release.verify()
    session = open_session(release.path(file).read_bytes(), CPU, name=file.path)

    def images(n: int, labels: NDArray[np.int64] | None) -> Pixels:
        batches = []
        for start in progress(range(0, n, _BATCH), "generating images"):
            count = min(_BATCH, n - start)
            inputs: dict[str, NDArray[np.generic]] = {
                "z": noise.latents(seed, start, count, manifest.latent_size)
            }
            if labels is not None:
                inputs["label"] = labels[start : start + count]
            batches.append(session.run(["images"], inputs)[0])
        return np.concatenate(batches)

    return Subject(
        name=f"{manifest.name} {manifest.version} ({precision})",
        facts={
            "file": file.path,
            "model": file.sha256,
            "noise": manifest.noise_scheme,
            "seed": seed,
        },
        image_size=manifest.image_size,
        channels=manifest.channels,
        classes=manifest.classes,
        images=images,
        release=release,
    )


def _of_run(folder: Path, seed: int, progress: Progress, show: Callable[[str], None]) -> Subject:
    """Exports a run as float32 ONNX into a temporary folder."""
    from dcgan.export.options import ExportOptions  # noqa: PLC0415 - needs the extra `export`
    from dcgan.export.pipeline import export  # noqa: PLC0415

    show(f"exporting {folder}")
    with tempfile.TemporaryDirectory() as repository:
        options = ExportOptions(name="run", version=1, formats=("onnx",))
        release = export(read_run(folder), Path(repository), options, lambda _: None)
        subject = _of_model(release, "fp32", seed, progress)
    return replace(subject, name=f"the run {folder.name}", release=None)


def _of_source(source: str, seed: int) -> Subject:
    opened = open_source(source)
    first_size, grey = with_image(opened, 0, lambda image: (image.size, is_grey(image)))
    size = min(*first_size, _LARGEST)
    channels = 1 if grey else 3
    dataset = load_dataset(opened, DecodeConfig(image_size=size, channels=channels), show_decoding)

    def images(n: int, _: NDArray[np.int64] | None) -> Pixels:
        if n > len(dataset.images):
            raise EvaluationError(
                f"{dataset.name} has {len(dataset.images):,} images, fewer than {n:,}; "
                "choose a smaller -n"
            )
        return np.asarray(dataset.images[sample_order(len(dataset.images), seed)[:n]])

    return Subject(
        name=dataset.name,
        facts={"images": dataset.sha256, "seed": seed},
        image_size=dataset.images.shape[1],
        channels=channels,
        classes=0,
        images=images,
    )
