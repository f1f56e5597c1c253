"""From written files to a verdict: load each again from disk, run it, compare it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU, available_providers
from dcgan.export.formats.pt2 import read_pt2_weights
from dcgan.export.formats.weights import read_weights
from dcgan.export.graph.fold import Folded, round_to_half
from dcgan.export.release.metadata import producer_versions
from dcgan.export.verify import parity
from dcgan.export.verify.backends import (
    EagerRunner,
    OnnxRunner,
    Output,
    Pt2Runner,
    Runner,
    TorchScriptRunner,
)
from dcgan.export.verify.parity import Distance, measure, measure_quality, run_probes
from dcgan.export.verify.report import Report
from dcgan.export.verify.structure import check_structure
from dcgan.export.verify.tolerances import LIMITS
from dcgan.export.verify.weight_check import (
    check_graph_weights,
    check_same_weights,
    check_torchscript_weights,
)
from dcgan.training.models.networks import Generator
from dcgan.zoo.manifest import Manifest, ModelFile

_ROOM = 4.0
"""Another order of sums may err this many times as far as the network's own float32."""


def load(files: Sequence[ModelFile], folder: Path, draft: Manifest) -> list[Runner]:
    """Loads each written file that computes images again, on each provider at hand.

    Raises:
        ParityError: if a file is not what the manifest promises before it even runs, or does not run where it should.
        ExportError: if the weights cannot be read.
    """
    runners: list[Runner] = []
    for file in files:
        path = folder / file.path
        if file.role == "onnx":
            check_structure(path, draft.inputs, draft.outputs)
            precision = file.precision or "fp32"
            here = [
                provider for provider in available_providers() if (precision, provider) in LIMITS
            ]
            runners += [OnnxRunner(path, precision, provider) for provider in here]
        elif file.role == "torchscript":
            runners.append(TorchScriptRunner(path))
        elif file.role == "pt2":
            runners.append(Pt2Runner(path))
        elif file.role == "safetensors":
            runners.append(EagerRunner(read_weights(path), path.name))
    return runners


def check_weights(files: Sequence[ModelFile], folder: Path, released: Folded) -> None:
    """Compares the weights in each float file, bit for bit, with those of the released network.

    Raises:
        WeightMismatchError: names the file and the weight.
    """
    for file in files:
        path = folder / file.path
        if file.role == "onnx" and file.precision == "fp32":
            check_graph_weights(path, released)
        elif file.role == "onnx" and file.precision == "fp16":
            check_graph_weights(path, round_to_half(released))
        elif file.role == "pt2":
            check_same_weights(path.name, read_pt2_weights(path), released)
        elif file.role == "torchscript":
            check_torchscript_weights(path, released)
        elif file.role == "safetensors":
            check_same_weights(path.name, read_weights(path), released)


def prove(
    trained: Generator, folded: Folded, released: Folded, runners: Sequence[Runner]
) -> Report:
    """Compares every step from the trained network to the files.

    The trained network in double precision is the reference: what float32 does to the network as it was trained is
    reported first, and sets the limit where it is more than usual. Where weights were rounded for release, the rounded
    network is the reference: how far it is from the trained one is reported, and is a choice, not a fault.
    """
    reference = _run(EagerRunner(trained, "trained network", double=True), released)
    steps = [_report_only(EagerRunner(trained, "trained network"), released, reference)]
    room = _ROOM * steps[0].max_abs_error
    steps.append(_compare(EagerRunner(folded, "folded network"), reference, released, room))
    name = "the trained network, in PyTorch in double precision"
    if released is not folded:
        rounded = EagerRunner(released, "rounded network", double=True)
        steps.append(_report_only(rounded, released, reference))
        reference, name = (
            _run(rounded, released),
            "the network with float16 weights, in PyTorch in double precision",
        )
    return _report(
        name, [*steps, *(_compare(runner, reference, released, room) for runner in runners)]
    )


def prove_again(released: Folded, runners: Sequence[Runner]) -> Report:
    """Compares the files of a released model with its published weights."""
    reference = _run(EagerRunner(released, "released network", double=True), released)
    steps = [_report_only(EagerRunner(released, "released network"), released, reference)]
    room = _ROOM * steps[0].max_abs_error
    steps += [_compare(runner, reference, released, room) for runner in runners]
    return _report("the released weights, in PyTorch in double precision", steps)


def _report(reference: str, distances: Sequence[Distance]) -> Report:
    return Report(
        reference=reference,
        batches=parity.BATCHES,
        seeds=parity.SEEDS,
        widest=parity.WIDEST,
        processor=processor_family(CPU),
        versions=producer_versions(),
        distances=tuple(distances),
    )


def _run(runner: Runner, network: Folded) -> list[Output]:
    return run_probes(runner, network.latent_size, network.classes)


def _report_only(runner: Runner, network: Folded, reference: Sequence[Output]) -> Distance:
    return measure(runner, _run(runner, network), reference)


def _compare(
    runner: Runner, reference: Sequence[Output], released: Folded, room: float
) -> Distance:
    """Measures one runner within the limits for its kind, or within `room` where that is more."""
    limits = LIMITS[runner.precision, runner.provider]
    limits = dataclasses.replace(limits, max_abs_error=max(limits.max_abs_error, room))
    distance = measure(runner, _run(runner, released), reference, limits)
    if limits.min_psnr is None or not isinstance(runner, OnnxRunner):
        return distance
    source = EagerRunner(released, "released network")
    return dataclasses.replace(
        distance, quality=measure_quality(runner, source, released.latent_size, released.classes)
    )
