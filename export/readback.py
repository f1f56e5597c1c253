"""The weights of a written file, brought back into the layout of the network, to be compared bit for bit.

The numeric gate cannot see a small change of a small weight; this can, and knows nothing of how the file was written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dcgan.export.errors import WeightMismatchError
from dcgan.export.fold import Folded
from dcgan.export.graph_builder import Array
from dcgan.export.subpixel import merge_joined, merge_phases
from dcgan.export.torchscript import read_torchscript


def check_graph_weights(path: Path, network: Folded) -> None:
    """Compares the weights of a float ONNX file with those of the released network.

    Raises:
        WeightMismatchError: names the first that is not the same, bit for bit.
    """
    found = read_graph_weights(path, network)
    for name, expected in _parameters(network).items():
        _check_equal(path.name, name, found[name], expected)


def read_graph_weights(path: Path, network: Folded) -> dict[str, Array]:
    """Reads the weights of a float ONNX file, by their names in a network of the same shape.

    Raises:
        WeightMismatchError: names the first that is not there.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    found = {name.removesuffix(".half"): array.astype(np.float32) for name, array in stored.items()}
    subpixel = "hidden.1.phase00.weight" in found
    weights = {}
    for name, expected in _parameters(network).items():
        try:
            array = _from_subpixel(found, name, network) if subpixel else found[name]
            weights[name] = array.reshape(expected.shape) if name.startswith("affines.") else array
        except (KeyError, ValueError):
            raise WeightMismatchError(f"{path.name} has no whole {name}") from None
    return weights


def check_torchscript_weights(path: Path, network: Folded) -> None:
    """Compares the constants of a frozen TorchScript file with the weights of the released network.

    Raises:
        WeightMismatchError: if a weight is missing, or there is one too many.
    """
    module = read_torchscript(path)  # its graph lives no longer than it
    nodes = module.graph.findAllNodes("prim::Constant", recurse=True)  # type: ignore[attr-defined]
    tensors = [node.t("value") for node in nodes if node.hasAttribute("value") and node.kindOf("value") == "t"]
    found = {(tuple(t.shape), t.numpy().tobytes()) for t in tensors if t.ndim > 0}
    expected = {(array.shape, array.tobytes()) for array in _parameters(network).values()}
    if found != expected:
        raise WeightMismatchError(f"{path.name} has {len(found - expected)} weights that the released network has not")


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


def _from_subpixel(found: dict[str, NDArray[np.float32]], name: str, network: Folded) -> Array:
    """One parameter of the network, out of a graph in the subpixel form."""
    if name == "head.weight":
        return merge_joined(found[name])
    if name == "hidden.0.weight":
        d, channels = network.latent_size, network.layers[0].out_channels
        return found[name].reshape(d, 4, 4, channels).transpose(0, 3, 1, 2)
    if name == "hidden.0.bias":
        copies = found[name].reshape(16, -1)
        return copies[0] if (copies == copies[0]).all() else copies
    if name.endswith(".bias") or name.startswith("affines."):
        return found[name]
    layer = name.removesuffix(".weight")
    return merge_phases({phase: found[f"{layer}.phase{phase}.weight"] for phase in ("00", "01", "10", "11")})


def _check_equal(file: str, name: str, found: NDArray[np.float32], expected: Array) -> None:
    if found.shape != expected.shape or np.ascontiguousarray(found).tobytes() != expected.tobytes():
        raise WeightMismatchError(f"{file} has another {name} than the released network")


def _parameters(network: Folded) -> dict[str, Array]:
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in network.state_dict().items()}
