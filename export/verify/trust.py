"""Which files of a model are loaded: those that cannot hold code, and others only on request."""

from __future__ import annotations

from collections.abc import Iterable

from dcgan.zoo.manifest import ModelFile

CODE_ROLES = frozenset({"torchscript", "pt2"})
"""Roles whose files can run code when they are loaded.

TorchScript is a program, and `torch.export.load` unpickles parts of a .pt2 file and evaluates
expressions in it. ONNX and safetensors files hold data only.
"""


def can_hold_code(file: ModelFile) -> bool:
    """Returns whether loading a file could run code that its author put there."""
    return file.role in CODE_ROLES


def without_code(files: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
    """Returns the files that cannot hold code."""
    return tuple(file for file in files if not can_hold_code(file))
