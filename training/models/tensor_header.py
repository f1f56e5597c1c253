"""The header of a safetensors file: names, types and shapes of its tensors, without the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

# Ours have at most some hundred tensors, and a manifest as metadata. Parsing takes many times the
# size in memory.
_MAX_HEADER_BYTES = 2**22
_SIZE_BYTES = 8  # of the header's size, which is the first field

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "I64": torch.int64,
}


def read_header(path: Path) -> dict[str, Tensor]:
    """Reads types and shapes; memory and time do not depend on the size of the tensors.

    Args:
        path: of a regular file, which is not trusted.

    Returns:
        A tensor on the meta device for each name.

    Raises:
        OSError, SafetensorError: if the file cannot be read, is damaged or truncated.
        ValueError: if its header is larger than ours, or a tensor has another type than ours.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(_SIZE_BYTES), "little")
    if size > _MAX_HEADER_BYTES:
        raise ValueError(f"its header has over {_MAX_HEADER_BYTES // 2**20} MiB")

    with safe_open(path, framework="pt") as file:
        names = file.keys()  # not a dict: safe_open cannot be iterated
        slices = {name: file.get_slice(name) for name in names}
        return {
            name: torch.empty(part.get_shape(), dtype=_dtype(part.get_dtype()), device="meta")
            for name, part in slices.items()
        }


def same_layout(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Returns whether two sets of tensors have the same names, types and shapes."""
    return found.keys() == expected.keys() and all(
        (found[name].shape, found[name].dtype) == (expected[name].shape, expected[name].dtype)
        for name in expected
    )


def _dtype(name: str) -> torch.dtype:
    dtype = _DTYPES.get(name)
    if dtype is None:
        raise ValueError(f"a tensor has the type {name:.20}")
    return dtype
