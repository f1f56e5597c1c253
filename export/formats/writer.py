"""Writes a released network in every format that was asked for."""

from __future__ import annotations

from pathlib import Path

import onnx

from dcgan.export.formats.graph_form import FLOAT16_FORM, float32_form
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.formats.pt2 import write_pt2
from dcgan.export.formats.safetensors_file import write_safetensors
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.graph.fold import FoldedGenerator, round_to_float16
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.graph.quantization import Int8Plan
from dcgan.export.options import ExportOptions
from dcgan.zoo.manifest import ModelFile
from dcgan.zoo.release import describe_file


def write_files(
    network: FoldedGenerator,
    folder: Path,
    options: ExportOptions,
    *,
    metadata: str,
    plan: Int8Plan | None = None,
) -> list[ModelFile]:
    """Writes each format of the released network into a folder.

    Args:
        network: what is released.
        folder: where to write.
        options: which formats and precisions.
        metadata: JSON document to embed in each file.
        plan: of the int8 file; required if `options.int8`.

    Returns:
        The files, as the manifest describes them.
    """
    return [
        *_write_onnx_files(network, folder, options, metadata, plan),
        *_write_other_files(network, folder, options, metadata),
    ]


def _write_onnx_files(
    network: FoldedGenerator,
    folder: Path,
    options: ExportOptions,
    metadata: str,
    plan: Int8Plan | None,
) -> list[ModelFile]:
    float16 = options.weights == "fp16"
    files = []

    if "onnx" in options.formats:
        path = folder / "generator.onnx"
        form = float32_form(options.target)
        model = build_onnx(network, metadata=metadata, form=form, float16_weights=float16)
        write_onnx(model, path)
        files.append(describe_file(path, "onnx", "fp32"))

    if options.int8:
        path = folder / "generator.int8.onnx"
        model = build_onnx(network, metadata=metadata, plan=plan, float16_weights=float16)
        write_onnx(model, path)
        files.append(describe_file(path, "onnx", "int8"))

    if options.fp16:
        path = folder / "generator.fp16.onnx"
        write_onnx(_build_float16(network, metadata), path)
        files.append(describe_file(path, "onnx", "fp16"))

    return files


def _write_other_files(
    network: FoldedGenerator, folder: Path, options: ExportOptions, metadata: str
) -> list[ModelFile]:
    generator = PixelGenerator(network)
    shape = {"latent_size": network.latent_size, "classes": network.classes}
    files = []

    if "torchscript" in options.formats:
        path = folder / "generator.ts"
        write_torchscript(generator, path, metadata=metadata, **shape)
        files.append(describe_file(path, "torchscript", "fp32"))

    if "pt2" in options.formats:
        path = folder / "generator.pt2"
        write_pt2(generator, path, metadata=metadata, **shape)
        files.append(describe_file(path, "pt2", "fp32"))

    if "safetensors" in options.formats:
        path = folder / "generator.safetensors"
        float16 = options.weights == "fp16"
        write_safetensors(network, path, metadata=metadata, float16=float16)
        files.append(describe_file(path, "safetensors", options.weights))

    return files


def _build_float16(network: FoldedGenerator, metadata: str) -> onnx.ModelProto:
    return build_onnx(
        round_to_float16(network),
        metadata=metadata,
        form=FLOAT16_FORM,
        float16_weights=True,
        float16_compute=True,
    )
