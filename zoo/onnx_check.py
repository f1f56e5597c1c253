"""Check of an untrusted ONNX file, before ONNX Runtime loads it.

A released graph is a plain one: a short list of operators, no control flow, no functions, no other
domains, no data in other files, and a bounded amount of work. ONNX Runtime would run anything: a
loop without end, gigabytes of intermediate tensors, or weights from a file that no digest covers.
The check imports neither `onnx` nor `onnxruntime`, so that a server can make it.
"""

from __future__ import annotations

from pathlib import Path

from dcgan.core.bounded import read_bounded
from dcgan.core.text import printable
from dcgan.zoo.manifest import Manifest, Tensor
from dcgan.zoo.onnx_model import Graph, UnsafeGraphError, read_graph
from dcgan.zoo.onnx_shapes import Cost, ShapeInference

MAX_FILE_BYTES = 2**29
"""Largest file that is checked, in memory; those of 64x64 images have under 2**24."""

_BATCHES = (1, 61)
"""Batches that the graph is followed with: the second finds what grows faster than the batch."""

_MAX_ELEMENTS = 2**26  # intermediate values of one image; 64x64 images take under 2**21
_MAX_MULTIPLICATIONS = 2**38  # of one image; 64x64 images take 2**27


def check_onnx_file(path: Path, manifest: Manifest, content: bytes | None = None) -> Cost:
    """Checks that an ONNX file is a graph that is safe to load.

    Args:
        path: the file.
        manifest: of its model.
        content: of the file, if it is in memory already.

    Returns:
        What it takes to make one image.

    Raises:
        UnsafeGraphError: names the file and what is wrong with it.
    """
    try:
        if content is None:
            content = read_bounded(path, MAX_FILE_BYTES)
        return check_onnx(content, manifest)
    except UnsafeGraphError as error:
        raise UnsafeGraphError(
            f"{printable(path)} is not loaded: {error}; export the model again with dcgan-export"
        ) from None
    except OSError as error:
        raise UnsafeGraphError(f"cannot read {printable(path)}: {error.strerror}") from None


def check_onnx(data: bytes, manifest: Manifest) -> Cost:
    """Checks the content of an ONNX file; see `check_onnx_file`.

    Raises:
        UnsafeGraphError: says what is wrong.
    """
    graph = read_graph(memoryview(data))
    _check_names(graph, manifest)

    cost, *_ = [_check_cost(graph, manifest, batch) for batch in _BATCHES]
    return cost


def _check_cost(graph: Graph, manifest: Manifest, batch: int) -> Cost:
    """Follows the shapes through the graph, and checks what a batch takes to compute."""
    inputs = {tensor.name: _shape(tensor, batch) for tensor in manifest.inputs}
    inference = ShapeInference(graph, inputs)
    cost = inference.run(batch * _MAX_ELEMENTS)
    if cost.multiplications > batch * _MAX_MULTIPLICATIONS:
        raise UnsafeGraphError("it takes too long to compute")

    for tensor in manifest.outputs:
        if inference.shapes.get(tensor.name) != _shape(tensor, batch):
            raise UnsafeGraphError(
                f"its output {tensor.name} has another shape than the manifest says"
            )
    return cost


def _check_names(graph: Graph, manifest: Manifest) -> None:
    """Checks that the graph has the inputs and outputs of the manifest, and no other."""
    expected_inputs = [tensor.name for tensor in manifest.inputs]
    expected_outputs = [tensor.name for tensor in manifest.outputs]
    if graph.inputs != expected_inputs or graph.outputs != expected_outputs:
        raise UnsafeGraphError("its inputs or outputs are not those of the manifest")
    if set(expected_inputs) & set(graph.initializers):
        raise UnsafeGraphError("an input is a constant as well")


def _shape(tensor: Tensor, batch: int) -> tuple[int, ...]:
    return tuple(batch if isinstance(size, str) else size for size in tensor.shape)
