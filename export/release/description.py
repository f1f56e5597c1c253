"""Writes the files that describe a model, in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dcgan.core.schema import dump_json
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.release.golden_images import golden_digests, write_golden_images
from dcgan.export.release.manifest import complete_manifest
from dcgan.export.release.model_card import write_model_card
from dcgan.export.release.parity_report import write_parity_report
from dcgan.export.release.samples import write_samples
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.gate import Verification
from dcgan.zoo.manifest import FILE_NAME, Manifest, ModelFile


def describe_release(
    draft: Manifest,
    files: Sequence[ModelFile],
    released: FoldedGenerator,
    verification: Verification,
    folder: Path,
) -> Manifest:
    """Writes golden images, samples, parity report, model card and manifest into a folder.

    Args:
        draft: the manifest so far.
        files: the model's files in the folder.
        released: the network that they hold.
        verification: what the parity gate found.
        folder: where to write.

    Returns:
        The manifest that was written.
    """
    reference = EagerBackend(released, "released network", double=True)
    digests = golden_digests(verification.backends, draft)
    manifest = complete_manifest(draft, files, digests, verification)

    extras = [
        write_golden_images(reference, draft, folder),
        write_samples(reference, draft, folder),
        write_parity_report(verification.report, folder),
        write_model_card(manifest, verification.report, folder),
    ]

    manifest = dataclasses.replace(manifest, files=(*files, *extras))
    (folder / FILE_NAME).write_text(dump_json(manifest), encoding="utf-8")
    return manifest
