"""Loads published files again from disk, each on every backend that can run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcgan.core.onnx_session import available_providers
from dcgan.export.formats.safetensors_file import read_safetensors
from dcgan.export.timing import timed
from dcgan.export.verify.backends import (
    Backend,
    EagerBackend,
    OnnxBackend,
    Pt2Backend,
    TorchScriptBackend,
)
from dcgan.export.verify.structure import check_structure
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.zoo.manifest import Manifest, ModelFile


def load_backends(files: Sequence[ModelFile], folder: Path, manifest: Manifest) -> list[Backend]:
    """Loads each file that computes images from disk, an ONNX file on each available provider.

    Raises:
        ParityError: if an ONNX file is not what the manifest promises, or a file cannot be loaded.
        ExportError: if the weights cannot be read.
    """
    backends: list[Backend] = []
    for file in files:
        path = folder / file.path
        if file.role == "onnx":
            check_structure(path, manifest.inputs, manifest.outputs)
            backends += _load_onnx(path, file.precision or "fp32")
        elif file.role == "torchscript":
            backends.append(TorchScriptBackend(path))
        elif file.role == "pt2":
            backends.append(Pt2Backend(path))
        elif file.role == "safetensors":
            backends.append(EagerBackend(read_safetensors(path), path.name))
    return backends


def _load_onnx(path: Path, precision: str) -> list[Backend]:
    return [
        _open(path, precision, provider)
        for provider in available_providers()
        if (precision, provider) in TOLERANCES
    ]


def _open(path: Path, precision: str, provider: str) -> OnnxBackend:
    with timed(f"open {path.name} on {provider}"):
        return OnnxBackend(path, precision, provider)
