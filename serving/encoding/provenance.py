"""The provenance of images as a protobuf message."""

from __future__ import annotations

from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import Manifest

AGREEMENTS = {Agreement.EXACT: pb.AGREEMENT_EXACT, Agreement.CLOSE: pb.AGREEMENT_CLOSE}


def provenance_message(
    manifest: Manifest,
    digest: str,
    provider: str,
    agreement: Agreement,
    batch_size: int | None = None,
) -> pb.Provenance:
    """Returns the provenance of the images of one model.

    Args:
        manifest: of the model.
        digest: SHA-256 of the file that runs.
        provider: execution provider that runs it.
        agreement: result of the self-test.
        batch_size: images in every batch, where the pixels depend on it.
    """
    return pb.Provenance(
        model=manifest.name,
        version=manifest.version,
        digest=digest,
        noise_scheme=manifest.noise_scheme,
        provider=provider,
        agreement=AGREEMENTS[agreement],
        batch_size=batch_size or 0,
    )
