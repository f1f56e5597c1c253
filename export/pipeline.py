"""The export as a recipe: load, fold, write, check, describe, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.core.schema import dump_json
from dcgan.export.formats.pt2 import write_pt2
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.formats.weights import write_weights
from dcgan.export.graph.fold import Folded, fold, round_to_half
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_graph, write_graph
from dcgan.export.graph.postprocess import Served
from dcgan.export.int8.search import find_plan
from dcgan.export.release.metadata import describe, draft_manifest
from dcgan.export.verify.gate import check_weights, load, prove
from dcgan.training.run_folder import Run
from dcgan.zoo.manifest import FILE_NAME, Manifest, ModelFile
from dcgan.zoo.repository import Release, describe_file, publish, read_release

FORMATS = ("onnx", "torchscript", "safetensors")
"""What is written unless something else is asked for; "pt2" is written on request only."""

FORMS = {"cpu": SUBPIXEL, "cuda": PLAIN}
"""The form of the graph for each target; benchmarks/bench_export.py measures them."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to release, and as what.

    Attributes:
        name: of the model.
        version: of the model.
        formats: which of FORMATS, and "pt2", to write.
        weights: "fp32", or "fp16" to release weights rounded to float16.
        license: SPDX identifier.
        description: what the model makes, in a sentence; the run's own words where it is empty.
        int8: write another ONNX file that computes in int8, for the CPU.
        fp16: write another ONNX file that computes in float16, for CUDA.
        target: "cpu" or "cuda": what the form of the float32 graph is chosen for.
    """

    name: str
    version: int
    formats: tuple[str, ...] = FORMATS
    weights: str = "fp32"
    license: str = "NOASSERTION"
    description: str = ""
    int8: bool = False
    fp16: bool = False
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
    torch.set_num_threads(
        1
    )  # PyTorch's sums, and with them parity.json, would vary with the number of threads
    draft = draft_manifest(
        run,
        name=options.name,
        version=options.version,
        license=options.license,
        description=options.description,
    )
    with publish(repository, options.name, options.version) as folder:
        folded = fold(run.generator)
        released = round_to_half(folded) if options.weights == "fp16" else folded
        files = write(released, folder, draft, options)
        check_weights(files, folder, released)
        runners = load(files, folder, draft)
        report = prove(run.generator, folded, released, runners)
        show(report.table())
        report.raise_failure()
        manifest = describe(
            draft, files=files, released=released, runners=runners, proof=report, folder=folder
        )
        (folder / FILE_NAME).write_text(dump_json(manifest), encoding="utf-8")
    return read_release(repository / options.name / str(options.version))


def write(released: Folded, folder: Path, draft: Manifest, options: Options) -> list[ModelFile]:
    """Writes each format of the released network into a folder."""
    return [
        *_write_graphs(released, folder, draft, options),
        *_write_others(released, folder, draft, options),
    ]


def _write_graphs(
    released: Folded, folder: Path, draft: Manifest, options: Options
) -> Iterator[ModelFile]:
    facts, half = dump_json(draft), options.weights == "fp16"
    if "onnx" in options.formats:
        path = folder / "generator.onnx"
        write_graph(
            build_graph(released, facts=facts, half_weights=half, form=FORMS[options.target]), path
        )
        yield describe_file(path, "onnx", "fp32")
    if options.int8:
        path, plan = folder / "generator.int8.onnx", find_plan(released)
        write_graph(build_graph(released, facts=facts, half_weights=half, plan=plan), path)
        yield describe_file(path, "onnx", "int8")
    if options.fp16:
        path = folder / "generator.fp16.onnx"
        network = round_to_half(released)
        write_graph(
            build_graph(network, facts=facts, half_weights=True, form=PLAIN, half_arithmetic=True),
            path,
        )
        yield describe_file(path, "onnx", "fp16")


def _write_others(
    released: Folded, folder: Path, draft: Manifest, options: Options
) -> Iterator[ModelFile]:
    facts, size, classes = dump_json(draft), draft.latent_size, draft.classes
    if "torchscript" in options.formats:
        path = folder / "generator.ts"
        write_torchscript(Served(released), path, latent_size=size, facts=facts, classes=classes)
        yield describe_file(path, "torchscript", "fp32")
    if "pt2" in options.formats:
        path = folder / "generator.pt2"
        write_pt2(Served(released), path, latent_size=size, facts=facts, classes=classes)
        yield describe_file(path, "pt2", "fp32")
    if "safetensors" in options.formats:
        path = folder / "generator.safetensors"
        write_weights(released, path, facts=facts, half=options.weights == "fp16")
        yield describe_file(path, "safetensors", options.weights)
