"""Weight check: the weights in each file, compared bit for bit with the released network.

The parity gate cannot see a small change of a small weight; this can. The weights are read back by
the readers in `formats`, which do not share code with the writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from dcgan.export.errors import WeightMismatchError
from dcgan.export.formats.onnx_file import read_onnx_weights
from dcgan.export.formats.pt2 import read_pt2_weights
from dcgan.export.formats.safetensors_file import read_safetensors
from dcgan.export.formats.torchscript import (
    frozen_constants,
    read_torchscript,
    torchscript_weights,
)
from dcgan.export.graph.builder import Array
from dcgan.export.graph.fold import FoldedGenerator, round_to_float16
from dcgan.zoo.manifest import ModelFile


def check_weights(files: Sequence[ModelFile], folder: Path, released: FoldedGenerator) -> None:
    """Compares the weights in each float file with those of the released network.

    Raises:
        WeightMismatchError: names the file and the weight.
        ParityError, ExportError: if a file cannot be read.
    """
    for file in files:
        path = folder / file.path
        if file.role == "onnx" and file.precision == "fp32":
            check_same_weights(file.path, read_onnx_weights(path), released)
        elif file.role == "onnx" and file.precision == "fp16":
            check_same_weights(file.path, read_onnx_weights(path), round_to_float16(released))
        elif file.role == "torchscript":
            check_torchscript_weights(path, released)
        elif file.role == "pt2":
            check_same_weights(file.path, read_pt2_weights(path), released)
        elif file.role == "safetensors":
            check_same_weights(file.path, read_safetensors(path), released)


def check_same_weights(file: str, found: FoldedGenerator, released: FoldedGenerator) -> None:
    """Compares the weights of a network that was read from a file with those of the released one.

    Raises:
        WeightMismatchError: names the first weight that differs in shape or in any bit.
    """
    weights = _arrays(found)
    for name, expected in _arrays(released).items():
        if name not in weights:
            raise WeightMismatchError(f"{file} has no {name}")
        weight = weights[name]
        if weight.shape != expected.shape or weight.tobytes() != expected.tobytes():
            raise WeightMismatchError(f"{file} has another {name} than the released network")


def check_torchscript_weights(path: Path, released: FoldedGenerator) -> None:
    """Compares the weights in a TorchScript file with those of the released network.

    Raises:
        WeightMismatchError: if a weight differs, is missing or is unknown.
        FailedRunError: if the file cannot be loaded.
    """
    module = read_torchscript(path)
    weights = torchscript_weights(module)
    if not weights:
        _check_constants(path.name, frozen_constants(module), released)
        return

    try:
        found = FoldedGenerator.from_weights(weights)
    except (KeyError, ValueError, RuntimeError):
        raise WeightMismatchError(f"{path.name} does not hold the weights of a generator") from None
    check_same_weights(path.name, found, released)


def _check_constants(file: str, constants: Sequence[Tensor], released: FoldedGenerator) -> None:
    """Compares constants, which have no names, by shape and content."""
    found = {(tuple(tensor.shape), tensor.numpy().tobytes()) for tensor in constants}
    expected = {(array.shape, array.tobytes()) for array in _arrays(released).values()}
    if found != expected:
        unknown = len(found - expected)
        raise WeightMismatchError(
            f"{file} has {unknown} weights that the released network does not have"
        )


def _arrays(network: FoldedGenerator) -> dict[str, Array]:
    return {
        name: np.ascontiguousarray(tensor.numpy()) for name, tensor in network.state_dict().items()
    }
