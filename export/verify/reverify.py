"""Verification of a released model on this machine (`dcgan-export --check`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dcgan.core.hardware import processor_family
from dcgan.export.errors import LevelMismatchError
from dcgan.export.formats.released_weights import find_weights, read_weights
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.verify.backends import Backend, OnnxBackend
from dcgan.export.verify.gate import compare_with_weights
from dcgan.export.verify.inputs import golden_inputs
from dcgan.export.verify.loading import load_backends
from dcgan.export.verify.threads import one_torch_thread
from dcgan.export.verify.trust import can_hold_code, without_code
from dcgan.export.verify.weight_check import check_weights
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.release import Release, read_release


@one_torch_thread()  # as in the export; a second thread gains nothing in batches this small
def reverify(folder: Path, show: Callable[[str], None], *, trust_code: bool = False) -> None:
    """Verifies a model folder: digests, structure, golden images, weights and parity.

    Args:
        folder: of one version of one model.
        show: prints lines to the user.
        trust_code: also load files that can hold code; otherwise they are skipped, by name.

    Raises:
        RepositoryError: if the folder is damaged.
        UnsafeGraphError: if an ONNX file holds what no released graph needs.
        ExportError: if the weights cannot be read.
        ParityError: if a file is not the function that was released.
    """
    release = read_release(folder)
    release.verify()

    files = release.manifest.files
    if not trust_code:
        files = without_code(files)
        _show_skipped(release, show)

    backends = load_backends(files, folder, release.manifest)
    _check_golden_images(release, backends, show)

    released = _read_reference(release, show)
    if released is None:
        return

    check_weights(files, folder, released)
    report = compare_with_weights(released, backends)
    show(report.table())
    report.raise_failure()


def _show_skipped(release: Release, show: Callable[[str], None]) -> None:
    for file in release.manifest.files:
        if can_hold_code(file):
            show(
                f"skipped {file.path}: loading it can run code; "
                "to check it as well, add --trust-code if you trust its author"
            )


def _read_reference(release: Release, show: Callable[[str], None]) -> FoldedGenerator | None:
    """Reads the published weights: those of the safetensors file, or else of the float32 graph.

    Parity with the graph's own weights still shows that it computes what PyTorch computes with
    them.
    """
    weights = find_weights(release.manifest)
    if weights is None:
        show(f"{release.folder} publishes no float weights: only its golden images were checked")
        return None
    if weights.role == "onnx":
        show(
            f"{release.folder} has no safetensors file: "
            f"the weights in {weights.path} are the reference"
        )
    return read_weights(weights, release.folder, release.manifest)


def _check_golden_images(
    release: Release, backends: Sequence[Backend], show: Callable[[str], None]
) -> None:
    """Compares the golden images of each ONNX file.

    An int8 file promises its bytes only on the processor family that its digest was published for.
    """
    manifest = release.manifest
    published = golden.read_golden(release)
    inputs = golden_inputs(manifest)

    for backend in backends:
        if not isinstance(backend, OnnxBackend):
            continue
        family = processor_family(backend.provider)
        digest = golden.published_digest(
            manifest, backend.file, backend.provider, family, backend.batch_size
        )
        agreement = golden.compare(backend.images(inputs), published, digest)

        is_promised = backend.precision == "fp32" or digest is not None
        if agreement is Agreement.DIFFERENT and is_promised:
            raise LevelMismatchError(
                f"{backend.file} on {backend.provider} does not make its golden images on {family}"
            )
        show(f"golden images of {backend.file} on {backend.provider}: {agreement.value}")
