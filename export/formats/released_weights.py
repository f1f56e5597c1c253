"""The released weights of a model, from its safetensors file or its float32 graph."""

from __future__ import annotations

from pathlib import Path

from dcgan.export.formats.safetensors_file import read_safetensors
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.onnx_check import check_onnx_file


def find_weights(manifest: Manifest) -> ModelFile | None:
    """Returns the file of the released weights: the safetensors file, or else the float32 graph."""
    return manifest.file("safetensors") or manifest.file("onnx", "fp32")


def read_weights(file: ModelFile, folder: Path, manifest: Manifest) -> FoldedGenerator:
    """Reads the weights from the file that `find_weights` returned.

    Args:
        file: the file.
        folder: of the model.
        manifest: of the model, to which an ONNX file must fit before its weights are read.

    Raises:
        ExportError: if the file is damaged, or holds something else.
        UnsafeGraphError: if it is an ONNX file that no released graph is like.
    """
    if file.role == "safetensors":
        return read_safetensors(folder / file.path)
    check_onnx_file(folder / file.path, manifest)
    from dcgan.export.formats.onnx_file import read_onnx_weights  # noqa: PLC0415 - needs onnx

    return read_onnx_weights(folder / file.path)
