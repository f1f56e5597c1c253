"""Publishes a copy of a model with measured figures in its manifest and card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcgan.zoo.manifest import Metric
from dcgan.zoo.repository import Release


def publish_with_metrics(release: Release, metrics: Sequence[Metric], repository: Path) -> Release:
    """Publishes a model again, in another repository, with further metrics and a new card.

    The files that compute images stay as they are, so that the digest in the report is that of the
    file that is published.

    Args:
        release: what was evaluated.
        metrics: added to those that it has; equal ones are added once.
        repository: folder of model folders.

    Returns:
        The copy.

    Raises:
        ExportError: if the model has no float weights.
        RepositoryError: if the version exists there, or the repository cannot be written.
    """
    from dcgan.export.release.republish import republish  # noqa: PLC0415 - needs PyTorch

    return republish(release, repository, metrics=metrics)
