"""Conversion of a network's float images to pixels, shared by training and export."""

from __future__ import annotations

import torch
from torch import Tensor


def to_pixels(images: Tensor) -> Tensor:
    """Converts [B, C, H, W] in [-1, 1] to uint8 [B, H, W, C].

    A level is (x + 1) * 127.5, rounded half to even and clamped to 0 to 255.
    The graphs of `dcgan.export.graph.onnx_graph` do the same with ONNX operators.
    """
    levels = ((images + 1.0) * 127.5).round().clamp(0.0, 255.0)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)
