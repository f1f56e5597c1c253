"""The weights of a written file, brought back into the layout of the network, to be compared bit for bit.

The numeric gate cannot see a small change of a small weight; this can, and knows nothing of how the file was written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from dcgan.export.errors import WeightMismatchError
from dcgan.export.formats.torchscript import read_torchscript
from dcgan.export.formats.weights import network_of
from dcgan.export.graph.builder import Array
from dcgan.export.graph.fold import Folded
from dcgan.export.graph.subpixel import merge_joined, merge_phases

Stored = dict[str, Array]


def check_graph_weights(path: Path, network: Folded) -> None:
    """Compares the weights of a float ONNX file with those of the released network.

    Raises:
        WeightMismatchError: names the first that is not the same, bit for bit.
    """
    check_same_weights(path.name, read_graph(path), network)


def read_graph(path: Path) -> Folded:
    """Reads the network whose weights a float ONNX file of either form holds.

    Raises:
        WeightMismatchError: if it does not hold those of a generator.
    """
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer
    }
    found = {name.removesuffix(".half"): array.astype(np.float32) for name, array in stored.items()}
    try:
        arrays = _from_subpixel(found) if "hidden.1.phase00.weight" in found else _from_plain(found)
        return network_of({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    except (KeyError, ValueError, RuntimeError, IndexError):
        raise WeightMismatchError(
            f"{path.name} does not hold all weights of one generator"
        ) from None


def check_torchscript_weights(path: Path, network: Folded) -> None:
    """Compares the constants of a frozen TorchScript file with the weights of the released network.

    Raises:
        WeightMismatchError: if a weight is missing, or there is one too many.
    """
    module = read_torchscript(path)  # its graph lives no longer than it
    nodes = module.graph.findAllNodes("prim::Constant", recurse=True)  # type: ignore[attr-defined]
    tensors = [
        node.t("value")
        for node in nodes
        if node.hasAttribute("value") and node.kindOf("value") == "t"
    ]
    found = {(tuple(t.shape), t.numpy().tobytes()) for t in tensors if t.ndim > 0}
    expected = {(array.shape, array.tobytes()) for array in _parameters(network).values()}
    if found != expected:
        raise WeightMismatchError(
            f"{path.name} has {len(found - expected)} weights that the released network has not"
        )


def check_same_weights(file: str, found: Folded, network: Folded) -> None:
    """Compares the weights of a network that was read from a file with those of the released one.

    Raises:
        WeightMismatchError: names the first that is not the same, bit for bit.
    """
    arrays = _parameters(found)
    for name, expected in _parameters(network).items():
        if name not in arrays:
            raise WeightMismatchError(f"{file} has no {name}")
        _check_equal(file, name, arrays[name], expected)


def _from_plain(found: Stored) -> Stored:
    """The parameters of the network, out of a graph in the plain form."""
    weights = {
        name: array for name, array in found.items() if name.startswith(("hidden.", "head."))
    }
    return weights | _tables(found)


def _from_subpixel(found: Stored) -> Stored:
    """The parameters of the network, out of a graph in the subpixel form."""
    columns = found["hidden.0.weight"]  # [d, 16 C]: row, column, channel
    first = columns.reshape(len(columns), 4, 4, -1).transpose(0, 3, 1, 2)
    weights = {"hidden.0.weight": first, "head.weight": merge_joined(found["head.weight"])}
    layers = sorted({name.partition(".phase")[0] for name in found if ".phase" in name})
    for layer in layers:
        kernels = {
            phase: found[f"{layer}.phase{phase}.weight"] for phase in ("00", "01", "10", "11")
        }
        weights[f"{layer}.weight"] = merge_phases(kernels)
    weights |= {
        f"{layer}.bias": found[f"{layer}.bias"] for layer in layers if f"{layer}.bias" in found
    }
    if "hidden.0.bias" in found:
        copies = found["hidden.0.bias"].reshape(16, -1)
        weights["hidden.0.bias"] = copies[0] if (copies == copies[0]).all() else copies
    return weights | _tables(found)


def _tables(found: Stored) -> Stored:
    """The scale and shift of each class, without the axes of size 1 that spread them over an image."""
    return {
        name: array.reshape(len(array), -1)
        for name, array in found.items()
        if name.startswith("affines.")
    }


def _check_equal(file: str, name: str, found: NDArray[np.float32], expected: Array) -> None:
    if found.shape != expected.shape or np.ascontiguousarray(found).tobytes() != expected.tobytes():
        raise WeightMismatchError(f"{file} has another {name} than the released network")


def _parameters(network: Folded) -> dict[str, Array]:
    return {
        name: np.ascontiguousarray(tensor.numpy()) for name, tensor in network.state_dict().items()
    }
