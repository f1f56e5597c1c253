"""The parity gate: is every written file the function that was trained?

Each file is loaded again from disk and compared with the reference, in batches of several sizes, on
the noise that users will send, on zeros and on out-of-distribution latents. It is measured in float
error and in what a user sees: grey levels. The batch sizes vary because a dynamic batch axis is
what breaks in exported models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.stages import NetworkStages
from dcgan.export.timing import timed
from dcgan.export.verify import probes
from dcgan.export.verify.backends import Backend, EagerBackend, OnnxBackend
from dcgan.export.verify.distance import Distance, measure
from dcgan.export.verify.inputs import ModelOutputs
from dcgan.export.verify.loading import load_backends
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.producers import producer_versions
from dcgan.export.verify.quality import measure_quality
from dcgan.export.verify.report import ParityReport
from dcgan.export.verify.tolerances import QUALITY_IMAGES, TOLERANCES
from dcgan.export.verify.weight_check import check_weights
from dcgan.zoo.manifest import Manifest, ModelFile

_ROUNDING_FACTOR = 4.0
"""Another order of sums may err this many times as much as the network's own float32 does."""


@dataclass(frozen=True)
class Verification:
    """The outcome of the parity gate.

    Attributes:
        backends: the loaded files, each on every available provider.
        report: how far each is from the reference.
    """

    backends: list[Backend]
    report: ParityReport


def verify_files(
    stages: NetworkStages, files: Sequence[ModelFile], folder: Path, draft: Manifest
) -> Verification:
    """Loads written files again and compares them with the trained network.

    A file that is too far from it does not raise: see `ParityReport.raise_failure`.

    Args:
        stages: the network, from training to release.
        files: what was written.
        folder: that contains them.
        draft: the manifest, with the inputs and outputs that the files must have.

    Raises:
        ParityError: if a file cannot be loaded or run, or its structure or weights are wrong.
    """
    with timed("load the files"):
        backends = load_backends(files, folder, draft)
    with timed("check the weights"):
        check_weights(files, folder, stages.released)
    report = compare_with_training(stages, backends)
    return Verification(backends, report)


def compare_with_training(stages: NetworkStages, backends: Sequence[Backend]) -> ParityReport:
    """Measures every stage from the trained network to the files.

    The reference is the trained network in float64. What float32 does to the trained network itself
    is reported first, and sets the tolerance where it is more than usual. Where weights were
    rounded for release, the rounded network is the reference of the files; its distance from the
    trained network is reported without a verdict.
    """
    released = stages.released
    trained_outputs = _run(EagerBackend(stages.trained, "trained network", double=True), released)

    trained = EagerBackend(stages.trained, "trained network")
    distances = [measure(trained, _run(trained, released), trained_outputs)]
    tolerance = _ROUNDING_FACTOR * distances[0].max_abs_error

    folded = EagerBackend(stages.folded, "folded network")
    distances.append(_compare(folded, trained_outputs, released, tolerance))

    reference = "the trained network, in PyTorch in double precision"
    reference_outputs = trained_outputs
    if released is not stages.folded:
        rounded = EagerBackend(released, "rounded network", double=True)
        reference = "the network with float16 weights, in PyTorch in double precision"
        reference_outputs = _run(rounded, released)
        distances.append(measure(rounded, reference_outputs, trained_outputs))

    distances += _compare_all(backends, reference_outputs, released, tolerance)
    return _report(reference, distances)


def compare_with_weights(released: FoldedGenerator, backends: Sequence[Backend]) -> ParityReport:
    """Measures the files of a released model against its published weights, in float64."""
    reference = _run(EagerBackend(released, "released network", double=True), released)

    eager = EagerBackend(released, "released network")
    distances = [measure(eager, _run(eager, released), reference)]
    tolerance = _ROUNDING_FACTOR * distances[0].max_abs_error

    distances += _compare_all(backends, reference, released, tolerance)
    return _report("the released weights, in PyTorch in double precision", distances)


def _compare_all(
    backends: Sequence[Backend],
    reference: Sequence[ModelOutputs],
    released: FoldedGenerator,
    min_tolerance: float,
) -> list[Distance]:
    """Measures the backends of all files, those of reduced precision over many images, too."""
    distances = [_compare(each, reference, released, min_tolerance) for each in backends]

    judged = {
        i: backend
        for i, backend in enumerate(backends)
        if isinstance(backend, OnnxBackend) and _has_quality_limit(distances[i])
    }
    if not judged:
        return distances

    source = EagerBackend(released, "released network")
    with timed(f"compare {QUALITY_IMAGES} images of {_names(judged.values())}"):
        qualities = measure_quality(
            list(judged.values()), source, released.latent_size, released.classes
        )
    for i, quality in zip(judged, qualities, strict=True):
        distances[i] = dataclasses.replace(distances[i], quality=quality)
    return distances


def _has_quality_limit(distance: Distance) -> bool:
    return distance.limits is not None and distance.limits.min_psnr is not None


def _names(backends: Iterable[Backend]) -> str:
    return ", ".join(f"{backend.file} on {backend.provider}" for backend in backends)


def _compare(
    backend: Backend,
    reference: Sequence[ModelOutputs],
    released: FoldedGenerator,
    min_tolerance: float,
) -> Distance:
    """Measures one backend with the tolerances of its kind, on float error at least this one."""
    tolerances = TOLERANCES[backend.precision, backend.provider]
    max_abs_error = max(tolerances.max_abs_error, min_tolerance)
    tolerances = dataclasses.replace(tolerances, max_abs_error=max_abs_error)
    outputs = _run(backend, released)
    with timed(f"measure {_names([backend])}"):
        return measure(backend, outputs, reference, tolerances)


def _run(backend: Backend, network: FoldedGenerator) -> list[ModelOutputs]:
    precision = " in float64" if isinstance(backend, EagerBackend) and backend.is_double else ""
    with timed(f"run {_names([backend])}{precision}"):
        return run_probes(backend, network.latent_size, network.classes)


def _report(reference: str, distances: Sequence[Distance]) -> ParityReport:
    return ParityReport(
        reference=reference,
        batches=probes.BATCHES,
        seeds=probes.SEEDS,
        widest=probes.WIDEST,
        processor=processor_family(CPU),
        versions=producer_versions(),
        distances=tuple(distances),
    )
