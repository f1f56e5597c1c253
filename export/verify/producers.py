"""Versions of the libraries that write and verify the files."""

from __future__ import annotations

import torch

from dcgan.core.versions import library_versions

_PRODUCERS = ("dcgan-zoo", "numpy", "onnx", "onnxruntime", "safetensors", "torch")


def producer_versions() -> dict[str, str]:
    """Returns the version of each library by name."""
    # PyTorch's own version also names its build, such as 2.11.0+cpu.
    return library_versions(*_PRODUCERS) | {"torch": torch.__version__}
