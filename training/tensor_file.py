"""Safetensors files with named tensors, a few integers about them and a SHA-256 digest of both.

Reading such a file never runs code, unlike `torch.load` of a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcgan.core.schema import SchemaError, explain_syntax_error, parse
from dcgan.training.errors import TrainingError
from dcgan.training.models.tensor_header import read_header

# A single metadata key: safetensors writes several keys in an order that changes between processes.
_KEY = "training"
_MAX_FACTS = 2**16  # characters of it; JSON takes many times its size in memory

_PARSE_ERRORS = (
    OSError,
    SafetensorError,
    SchemaError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)


def encode_tensors(tensors: Mapping[str, Tensor], facts: Mapping[str, int]) -> bytes:
    """Encodes tensors and integers as a safetensors file; equal inputs give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = json.dumps({**facts, "sha256": _digest(plain, facts)})
    return save(plain, {_KEY: metadata})


def read_layout(path: Path) -> dict[str, Tensor]:
    """Reads types and shapes of the tensors of a file, for a check before they are read.

    Returns:
        A tensor on the meta device for each name.

    Raises:
        TrainingError: if the file is damaged, truncated or of another kind.
    """
    _check_regular(path)
    try:
        return read_header(path)
    except _PARSE_ERRORS as error:
        raise _damaged(path, str(error)) from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Reads a file that `encode_tensors` made.

    Args:
        path: of the file. Check what it holds with `read_layout` first: a file of holes can hold
            gigabytes.

    Returns:
        The tensors, on the CPU, and the integers stored with them.

    Raises:
        TrainingError: if the file is damaged, truncated or of another kind.
    """
    _check_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()  # not a dict: safe_open cannot be iterated
            tensors = {name: file.get_tensor(name) for name in names}
            text = (file.metadata() or {})[_KEY]
            if len(text) > _MAX_FACTS:
                raise ValueError(f"its metadata has {len(text):,} characters")
        digest, facts = _parse_facts(text)
        expected = _digest(tensors, facts)
    except _PARSE_ERRORS as error:
        raise _damaged(path, str(error)) from None

    if digest != expected:
        raise _damaged(path, "its digest does not match")
    return tensors, facts


def _parse_facts(text: str) -> tuple[str, dict[str, int]]:
    """Returns the digest in the metadata of a file, and the integers beside it.

    Raises:
        ValueError, SchemaError: if it is not JSON, or has other values.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata: {explain_syntax_error(error)}") from None

    facts: dict[str, int | str] = parse(dict[str, int | str], values, "its metadata")
    digest = parse(str, facts.pop("sha256", ""), "its digest")
    return digest, parse(dict[str, int], facts, "its metadata")


def _check_regular(path: Path) -> None:
    if not path.is_file():  # opening a FIFO would wait for a writer
        raise TrainingError(f"{path} is missing, or is not a regular file")


def _damaged(path: Path, reason: str) -> TrainingError:
    return TrainingError(
        f"{path} is damaged or was written by another release ({reason:.200}); train again"
    )


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, int]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # Without a copy: a file of holes can hold tensors of gigabytes. NumPy's types do not say
        # that arrays are buffers.
        values: Any = tensor.numpy().reshape(-1).view(np.uint8)
        digest.update(values)
    return digest.hexdigest()
