"""The form of the float32 graph that is fastest on each target."""

from __future__ import annotations

from dcgan.core.onnx_session import DEFAULT_CUDA_BATCH_SIZE
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL

FLOAT16_FORM = PLAIN
"""Form of the float16 graph, which is for CUDA: the faster one in batches of 256 and more."""

_SUBPIXEL_FROM = 256
"""Batch size on CUDA from which the subpixel form is the faster one in float32.

Measured on an H100 without a search by timing: 84,060 against 71,989 images/s in batches of 256,
45,641 against 60,403 in batches of 64 (`benchmarks/results/cuda-graph-forms.json`).
"""


def float32_form(target: str, cuda_batch_size: int = DEFAULT_CUDA_BATCH_SIZE) -> str:
    """Returns the form of the float32 graph, PLAIN or SUBPIXEL.

    Args:
        target: "cpu", where the subpixel form is faster at every batch size
            (`benchmarks/results/export-cpu-2-threads.json`), or "cuda".
        cuda_batch_size: images in every batch on CUDA.
    """
    if target == "cuda" and cuda_batch_size < _SUBPIXEL_FROM:
        return PLAIN
    return SUBPIXEL
