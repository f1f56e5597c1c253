"""Asynchronous copies from the device to the host, which wait only when a value is read."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def is_asynchronous(device: torch.device) -> bool:
    """Returns whether the device computes while the host goes on, so that reading a value waits."""
    return device.type == "cuda"


class HostCopy:
    """A copy of a tensor on the host, which is made while the device and the host go on.

    On a CPU it is an ordinary copy.

    Args:
        tensor: on any device; it may be overwritten by later operations of the same stream.
    """

    def __init__(self, tensor: Tensor) -> None:
        tensor = tensor.detach()
        self._done: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._host = tensor.clone()
            return

        # Only page-locked memory is written while the host goes on.
        self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._host.copy_(tensor, non_blocking=True)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record()

    def numpy(self) -> NDArray[Any]:
        """Returns the values; waits until they have arrived."""
        if self._done is not None:
            self._done.synchronize()
        return self._host.numpy()
