"""The export as a recipe: load, fold, write, check, describe, publish."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcgan.export import parity
from dcgan.export.calibrate import activation_scales
from dcgan.export.describe import describe, draft_manifest, library_versions
from dcgan.export.fold import Folded, fold, round_to_half
from dcgan.export.onnx_graph import PLAIN, SUBPIXEL, build_graph, write_graph
from dcgan.export.parity import LIMITS, Distance, measure, measure_quality, run_probes
from dcgan.export.report import Report
from dcgan.export.runners import CPU, EagerRunner, OnnxRunner, Output, Runner, TorchScriptRunner, providers_at_hand
from dcgan.export.served import Served
from dcgan.export.structure import check_structure
from dcgan.export.torchscript import write_torchscript
from dcgan.export.weights import write_weights
from dcgan.training.networks import Generator
from dcgan.training.run import Run
from dcgan.zoo.manifest import FILE_NAME, Manifest, ModelFile
from dcgan.zoo.processor import processor_family
from dcgan.zoo.record import dump_json
from dcgan.zoo.repository import Release, describe_file, publish, read_release

FORMATS = ("onnx", "torchscript", "safetensors")
FORMS = {"cpu": SUBPIXEL, "cuda": PLAIN}
"""The form of the graph for each target; benchmarks/bench_export.py measures them."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to release, and as what.

    Attributes:
        name: of the model.
        version: of the model.
        formats: which of FORMATS to write.
        weights: "fp32", or "fp16" to release weights rounded to float16.
        license: SPDX identifier.
        description: what the model makes, in a sentence; the run's own words where it is empty.
        int8: write a second ONNX file that computes in int8, for the CPU.
        target: "cpu" or "cuda": what the form of the float32 graph is chosen for.
    """

    name: str
    version: int
    formats: tuple[str, ...] = FORMATS
    weights: str = "fp32"
    license: str = "NOASSERTION"
    description: str = ""
    int8: bool = False
    target: str = "cpu"


def export(run: Run, repository: Path, options: Options, show: Callable[[str], None]) -> Release:
    """Makes a released model out of a training run.

    Args:
        run: the training run.
        repository: folder of model folders.
        options: what to release.
        show: prints lines to the user.

    Raises:
        ExportError: if the run cannot be released.
        ParityError: if a written file is not the trained function.
        RepositoryError: if the version exists or the repository cannot be written.
        In each case nothing is published.
    """
    draft = draft_manifest(
        run, name=options.name, version=options.version, license=options.license, description=options.description
    )
    with publish(repository, options.name, options.version) as folder:
        folded = fold(run.generator)
        released = round_to_half(folded) if options.weights == "fp16" else folded
        files = write(released, folder, draft, options)
        runners = load(files, folder, draft)
        report = prove(run.generator, folded, released, runners)
        show(report.table())
        report.raise_failure()
        manifest = describe(draft, files=files, released=released, runners=runners, proof=report, folder=folder)
        (folder / FILE_NAME).write_text(dump_json(manifest), encoding="utf-8")
    return read_release(repository / options.name / str(options.version))


def write(released: Folded, folder: Path, draft: Manifest, options: Options) -> list[ModelFile]:
    """Writes each format of the released network into a folder."""
    facts, half = dump_json(draft), options.weights == "fp16"
    files = []
    if "onnx" in options.formats:
        path = folder / "generator.onnx"
        write_graph(build_graph(released, facts=facts, half_weights=half, form=FORMS[options.target]), path)
        files.append(describe_file(path, "onnx", "fp32"))
    if options.int8:
        path, scales = folder / "generator.int8.onnx", activation_scales(released)
        write_graph(build_graph(released, facts=facts, half_weights=half, scales=scales), path)
        files.append(describe_file(path, "onnx", "int8"))
    if "torchscript" in options.formats:
        path = folder / "generator.ts"
        write_torchscript(Served(released), path, latent_size=draft.latent_size, facts=facts)
        files.append(describe_file(path, "torchscript", "fp32"))
    if "safetensors" in options.formats:
        path = folder / "generator.safetensors"
        write_weights(released, path, facts=facts, half=half)
        files.append(describe_file(path, "safetensors", options.weights))
    return files


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
    distances = [_compare(EagerRunner(Served(folded), "folded network"), d, source, reference)]
    name = "the trained network, in evaluation mode, in PyTorch on the CPU"
    if released is not folded:
        source, trained_outputs = EagerRunner(Served(released), "rounded network"), reference
        reference, name = run_probes(source, d), "the trained network with weights rounded to float16, in PyTorch"
        distances.append(measure(source, reference, trained_outputs))
    distances += [_compare(runner, d, source, reference) for runner in runners]
    return Report(
        reference=name,
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
