"""From written files to a verdict: load each again from disk, run it, compare it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dcgan.export import parity
from dcgan.export.describe import library_versions
from dcgan.export.fold import Folded
from dcgan.export.parity import LIMITS, Distance, measure, measure_quality, run_probes
from dcgan.export.report import Report
from dcgan.export.runners import CPU, EagerRunner, OnnxRunner, Output, Runner, TorchScriptRunner, providers_at_hand
from dcgan.export.served import Served
from dcgan.export.structure import check_structure
from dcgan.training.networks import Generator
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.processor import processor_family


def load(files: Sequence[ModelFile], folder: Path, draft: Manifest) -> list[Runner]:
    """Loads each written file again, on each provider at hand.

    Raises:
        ParityError: if a file is not what the manifest promises before it even runs, or does not run where it should.
    """
    runners: list[Runner] = []
    for file in files:
        path, precision = folder / file.path, file.precision or "fp32"
        if file.role == "onnx":
            check_structure(path, draft.inputs, draft.outputs)
            here = [provider for provider in providers_at_hand() if (precision, provider) in LIMITS]
            runners += [OnnxRunner(path, precision, provider) for provider in here]
        if file.role == "torchscript":
            runners.append(TorchScriptRunner(path))
    return runners


def prove(trained: Generator, folded: Folded, released: Folded, runners: Sequence[Runner]) -> Report:
    """Compares every step from the trained network to the files.

    The trained network is the reference. Where weights were rounded for release, the rounded network is: how far it is
    from the trained one is reported, and is a choice of whoever exports, not a fault.
    """
    source, d = EagerRunner(Served(trained), "trained network"), folded.latent_size
    reference = run_probes(source, d)
    steps = [_compare(EagerRunner(Served(folded), "folded network"), d, source, reference)]
    name = "the trained network, in evaluation mode, in PyTorch on the CPU"
    if released is not folded:
        source, trained_outputs = EagerRunner(Served(released), "rounded network"), reference
        reference, name = run_probes(source, d), "the trained network with weights rounded to float16, in PyTorch"
        steps.append(measure(source, reference, trained_outputs))
    return _report(name, [*steps, *(_compare(runner, d, source, reference) for runner in runners)])


def prove_again(released: Folded, runners: Sequence[Runner]) -> Report:
    """Compares the files of a released model with its published weights."""
    source, d = EagerRunner(Served(released), "released network"), released.latent_size
    reference = run_probes(source, d)
    return _report("the released weights, in PyTorch", [_compare(runner, d, source, reference) for runner in runners])


def _report(reference: str, distances: Sequence[Distance]) -> Report:
    return Report(
        reference=reference,
        batches=parity.BATCHES,
        seeds=parity.SEEDS,
        widest=parity.WIDEST,
        processor=processor_family(CPU),
        versions=library_versions(),
        distances=tuple(distances),
    )


def _compare(runner: Runner, latent_size: int, source: EagerRunner, reference: Sequence[Output]) -> Distance:
    """Measures one runner against the reference outputs of `source`, within the limits for its kind."""
    limits = LIMITS[runner.precision, runner.provider]
    distance = measure(runner, run_probes(runner, latent_size), reference, limits)
    if limits.min_psnr is None or not isinstance(runner, OnnxRunner):
        return distance
    return dataclasses.replace(distance, quality=measure_quality(runner, source, latent_size))
