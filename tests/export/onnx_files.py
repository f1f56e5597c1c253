"""ONNX files for tests of the export: written, changed after they were built, or quantized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import GraphProto, numpy_helper

from dcgan.core.onnx_session import CPU
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import FoldedGenerator, round_to_float16
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_onnx
from dcgan.export.graph.quantization import Int8Plan
from dcgan.export.verify.backends import OnnxBackend

Edit = Callable[[GraphProto], object]


def edited(path: Path, network: FoldedGenerator, edit: Edit, form: str = SUBPIXEL) -> Path:
    """Writes the graph of a network after a change to it."""
    model = build_onnx(network, form=form)
    edit(model.graph)
    write_onnx(model, path)
    return path


def written(network: FoldedGenerator, path: Path) -> OnnxBackend:
    """Writes a network and opens the file on the CPU."""
    write_onnx(build_onnx(network), path)
    return OnnxBackend(path, "fp32", CPU)


def write_float16(network: FoldedGenerator, path: Path) -> Path:
    """Writes a network that computes in float16."""
    rounded = round_to_float16(network)
    write_onnx(build_onnx(rounded, float16_weights=True, form=PLAIN, float16_compute=True), path)
    return path


def int8_backend(network: FoldedGenerator, plan: Int8Plan, path: Path) -> OnnxBackend:
    """Writes a network in int8 and opens the file on the CPU."""
    write_onnx(build_onnx(network, plan=plan), path)
    return OnnxBackend(path, "int8", CPU)


def change_table(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Returns an edit that changes the initializer of that name."""

    def edit(graph: GraphProto) -> None:
        (tensor,) = [tensor for tensor in graph.initializer if tensor.name == name]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))

    return edit
