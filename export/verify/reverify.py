"""The parity gate run again on a released model, on this machine: are its files still one and the same function?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from dcgan.core.hardware import processor_family
from dcgan.export.errors import LevelMismatchError
from dcgan.export.formats.weights import read_weights
from dcgan.export.verify.backends import OnnxRunner, Runner, golden_batch
from dcgan.export.verify.gate import check_weights, load, prove_again
from dcgan.export.verify.weight_check import read_graph
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import Release, read_release


def recheck(folder: Path, show: Callable[[str], None]) -> None:
    """Checks a model folder: digests, structure, golden images, and parity with the published weights.

    Where the weights are not published alone, those inside the float32 graph are taken: it then still has to compute
    what PyTorch makes of them.

    Args:
        folder: of one version of one model.
        show: prints lines to the user.

    Raises:
        RepositoryError: if the folder is damaged.
        ExportError: if the weights cannot be read.
        ParityError: if a file is not the function that was released.
    """
    torch.set_num_threads(
        1
    )  # as the export does; a second thread gains nothing in batches this small
    release = read_release(folder)
    release.verify()
    manifest = release.manifest
    runners = load(manifest.files, folder, manifest)
    _check_golden(release, runners, show)
    weights = manifest.file("safetensors")
    graph = manifest.file("onnx", "fp32")
    if weights is None and graph is None:
        show(
            f"{folder} publishes no weights in float: its golden images were checked, and nothing else can be"
        )
        return
    if weights is not None:
        released = read_weights(release.path(weights))
    elif graph is not None:
        released = read_graph(release.path(graph))
        show(f"{folder} publishes no weights alone: those inside {graph.path} are the reference")
    check_weights(manifest.files, folder, released)
    report = prove_again(released, runners)
    show(report.table())
    report.raise_failure()


def _check_golden(release: Release, runners: Sequence[Runner], show: Callable[[str], None]) -> None:
    """Compares the golden images of each ONNX file; int8 promises its bytes on the published processor family only."""
    manifest, published = release.manifest, golden.read_golden(release)
    batch = golden_batch(manifest)
    for runner in runners:
        if not isinstance(runner, OnnxRunner):
            continue
        family = processor_family(runner.provider)
        digest = golden.published_digest(manifest, runner.file, runner.provider, family)
        found = golden.compare(runner.images(batch), published, digest)
        if found is Agreement.DIFFERENT and (runner.precision == "fp32" or digest is not None):
            raise LevelMismatchError(
                f"{runner.file} on {runner.provider} does not make its golden images on {family}"
            )
        show(f"golden images of {runner.file} on {runner.provider}: {found.value}")
