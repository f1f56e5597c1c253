"""Files of named tensors, with facts about them and a digest: safetensors, which runs no code when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcgan.training.errors import TrainingError

_KEY = "training"  # one key only: safetensors writes several in an order that changes from process to process


def pack(tensors: Mapping[str, Tensor], facts: Mapping[str, int]) -> bytes:
    """Makes the content of a file. Equal tensors and facts give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(plain, {_KEY: json.dumps({**facts, "sha256": _digest(plain, facts)})})


def unpack(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Reads a file that `pack` made: its tensors, on the CPU, and its facts.

    Raises:
        TrainingError: if it is not whole, or not as it was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            facts = json.loads((file.metadata() or {})[_KEY])
        digest = facts.pop("sha256")
        numbers = {str(name): int(value) for name, value in facts.items()}
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} is damaged, or another release wrote it ({error!s:.200}); train again"
        ) from None
    if digest != _digest(tensors, facts):
        raise TrainingError(
            f"{path} is damaged, or another release wrote it (its digest is another); train again"
        )
    return tensors, numbers


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, int]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
