"""Threads that change no result: one in PyTorch, or several that compute batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from dcgan.core.processors import processor_limits
from dcgan.export.verify.inputs import ModelInputs

MAX_THREADS = 16
"""Each needs memory for the activations of one batch.

For 64 images of 64x64 and width 64 these are 50 MB in float32 and 220 MB in float64.
"""

Result = TypeVar("Result")


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Lets PyTorch compute in one thread, and in as many as before at the end.

    With more threads its sums, and with them parity.json, would vary with their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_in_threads(
    function: Callable[[ModelInputs], Result], batches: Sequence[ModelInputs]
) -> list[Result]:
    """Calls a function with each batch, in as many threads as there are usable processors.

    PyTorch and ONNX Runtime release Python's lock while they compute. Each batch is computed by one
    PyTorch thread as it would be without this function, so that sums keep their order.

    Args:
        function: what to call; it must be safe to call from several threads.
        batches: its arguments.

    Returns:
        What it returned, in the order of the batches.
    """
    threads = min(processor_limits().usable, MAX_THREADS)
    with ThreadPoolExecutor(
        threads,
        thread_name_prefix="parity",
        initializer=torch.set_num_threads,
        initargs=(torch.get_num_threads(),),
    ) as pool:
        return list(pool.map(function, batches))
