"""Static checks of an ONNX file: valid, self-contained, folded, with the promised interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from dcgan.export.errors import (
    InvalidGraphError,
    StaticBatchError,
    UnfoldedNormError,
    WrongInterfaceError,
)
from dcgan.zoo.manifest import Tensor


def check_structure(path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Checks an ONNX file against the standard and the interface that the manifest promises.

    Args:
        path: the file.
        inputs: what it must take; a size that is a name must be that symbolic dimension in the
            file.
        outputs: what it must return.

    Raises:
        InvalidGraphError, UnfoldedNormError, StaticBatchError, WrongInterfaceError: see
        `dcgan.export.errors`.
    """
    model = _read_valid(path)
    _check_self_contained(path.name, model)

    norms = [node.name for node in model.graph.node if node.op_type == "BatchNormalization"]
    if norms:
        raise UnfoldedNormError(
            f"{path.name} still has batch normalization: {', '.join(norms)}; fold it before writing"
        )

    _check_interface(path.name, "input", model.graph.input, inputs)
    _check_interface(path.name, "output", model.graph.output, outputs)


def _read_valid(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
    except (
        DecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidGraphError(f"{path.name} is not a valid ONNX file: {reason:.200}") from None
    return model


def _check_self_contained(file: str, model: onnx.ModelProto) -> None:
    domains = {node.domain for node in model.graph.node}
    domains |= {opset.domain for opset in model.opset_import}
    if domains != {""} or len(model.opset_import) != 1:
        foreign = ", ".join(filter(None, sorted(domains)))
        raise InvalidGraphError(f"{file} needs operators beyond one standard set: {foreign}")

    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InvalidGraphError(
            f"{file} keeps weights in a second file; a released model is one file"
        )


def _check_interface(
    file: str, side: str, values: Sequence[onnx.ValueInfoProto], expected: Sequence[Tensor]
) -> None:
    found = [_describe(value) for value in values]
    for tensor in found:
        if tensor.shape and isinstance(tensor.shape[0], int):
            raise StaticBatchError(
                f"{file} takes batches of {tensor.shape[0]} only in {side} {tensor.name!r:.60}"
            )
    if found != list(expected):
        raise WrongInterfaceError(f"{file} has the {side}s {_list(found)}, not {_list(expected)}")


def _describe(value: onnx.ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)
    return Tensor(name=value.name, dtype=dtype, shape=shape)


def _list(tensors: Sequence[Tensor]) -> str:
    shown = [f"{t.name} {t.dtype} [{', '.join(map(str, t.shape))}]" for t in tensors]
    return ", ".join(shown) or "none"
