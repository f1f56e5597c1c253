"""`generator.onnx` and its other precisions: writing a model, and reading its weights back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from dcgan.export.errors import WeightMismatchError
from dcgan.export.graph.builder import Array
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.onnx_graph import METADATA_KEY
from dcgan.export.graph.subpixel import PHASE_NAMES, merge_joined, merge_phases

Arrays = dict[str, Array]


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model as one file, weights included."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def read_onnx_metadata(path: Path) -> str:
    """Reads the JSON document that an ONNX file of this project embeds."""
    model = onnx.load(path, load_external_data=False)
    return next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), "{}")


def read_onnx_weights(path: Path) -> FoldedGenerator:
    """Reads the network whose weights a float ONNX file of either form holds.

    The layout is taken from the names and shapes of the initializers, independently of the code
    that wrote them.

    Raises:
        WeightMismatchError: if it does not hold the weights of one generator.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        initializers = {
            tensor.name.removesuffix(".half"): numpy_helper.to_array(tensor).astype(
                np.float32, copy=False
            )
            for tensor in model.graph.initializer
        }
        if "hidden.1.phase00.weight" in initializers:
            arrays = _from_subpixel(initializers)
        else:
            arrays = _from_plain(initializers)
        weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return FoldedGenerator.from_weights(weights)
    except (DecodeError, KeyError, ValueError, RuntimeError, IndexError):
        raise WeightMismatchError(
            f"{path.name} does not hold all weights of one generator"
        ) from None


def _from_plain(found: Arrays) -> Arrays:
    """Returns the weights of the network whose graph is in the plain form."""
    weights = {
        name: array for name, array in found.items() if name.startswith(("hidden.", "head."))
    }
    return weights | _class_tables(found)


def _from_subpixel(found: Arrays) -> Arrays:
    """Returns the weights of the network whose graph is in the subpixel form."""
    # The first layer is a matrix [d, 16 C] with columns in the order row, column, channel.
    matrix = found["hidden.0.weight"]
    first = matrix.reshape(len(matrix), 4, 4, -1).transpose(0, 3, 1, 2)
    weights = {"hidden.0.weight": first, "head.weight": merge_joined(found["head.weight"])}

    # Its bias is repeated for each of the 16 pixels. Keep copies that differ, which then fit no
    # network.
    if "hidden.0.bias" in found:
        copies = found["hidden.0.bias"].reshape(16, -1)
        weights["hidden.0.bias"] = copies[0] if (copies == copies[0]).all() else copies

    # The other hidden layers are four convolutions each.
    layers = sorted({name.partition(".phase")[0] for name in found if ".phase" in name})
    for layer in layers:
        kernels = {name: found[f"{layer}.phase{name}.weight"] for name in PHASE_NAMES}
        weights[f"{layer}.weight"] = merge_phases(kernels)
        if f"{layer}.bias" in found:
            weights[f"{layer}.bias"] = found[f"{layer}.bias"]

    return weights | _class_tables(found)


def _class_tables(found: Arrays) -> Arrays:
    """Returns the scale and shift of each class, without the axes of size 1 for broadcasting."""
    return {
        name: array.reshape(len(array), -1)
        for name, array in found.items()
        if name.startswith("affines.")
    }
