"""Publishes a copy of a model with measured figures in its manifest and card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dcgan.core.schema import dump_json
from dcgan.evaluation.errors import EvaluationError
from dcgan.zoo.manifest import FILE_NAME, Metric
from dcgan.zoo.repository import Release, describe_file, publish, read_release


def publish_with_metrics(release: Release, metrics: Sequence[Metric], repository: Path) -> Release:
    """Publishes a model again, in another repository, with further metrics.

    The files that compute images stay as they are, so that the digest in the report is that of the
    file that is published.

    Args:
        release: what was evaluated.
        metrics: added to those that it has; equal ones are added once.
        repository: folder of model folders.

    Returns:
        The copy.

    Raises:
        EvaluationError: if the model has no card of this release of dcgan-zoo.
        RepositoryError: if the version exists there, or the repository cannot be written.
    """
    from dcgan.export.release.model_card import quality_section  # noqa: PLC0415 - needs PyTorch

    manifest = release.manifest
    new = [metric for metric in metrics if metric not in manifest.metrics]
    completed = replace(manifest, metrics=(*manifest.metrics, *new))

    card = manifest.file("card")
    text = "" if card is None else release.path(card).read_text(encoding="utf-8")
    section = quality_section(manifest)
    if card is None or section not in text:
        raise EvaluationError(
            f"{release.folder} has no model card of this version of dcgan-zoo; export it again"
        )

    with publish(repository, manifest.name, manifest.version) as folder:
        for file in manifest.files:
            shutil.copyfile(release.path(file), folder / file.path)
        path = folder / card.path
        path.write_text(text.replace(section, quality_section(completed)), encoding="utf-8")

        described = describe_file(path, "card")
        files = tuple(described if file == card else file for file in manifest.files)
        completed = replace(completed, files=files)
        (folder / FILE_NAME).write_text(dump_json(completed), encoding="utf-8")

    return read_release(repository / manifest.name / str(manifest.version))
