"""A transposed convolution rewritten as ordinary convolutions with 2x2 kernels.

The transposed convolution has kernel 4, stride 2 and padding 1. Along one axis, output 2i + a takes
two inputs: i - 1 and i where a is 0, i and i + 1 where a is 1, with the kernel's taps (3, 1) and
(2, 0). So each of the four phases (a, b) of the image is an ordinary 2x2 convolution, and their
interleaving is the result (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional
layer?"). The products are the same; only the order of sums differs.

ONNX Runtime has blocked kernels for convolutions that reach the processor's peak, and none for
transposed ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TAPS = {0: [3, 1], 1: [2, 0]}

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each phase in a 2x2 cell of the output."""

PHASE_NAMES = tuple(f"{row}{column}" for row, column in PHASES)


@dataclass(frozen=True)
class Phase:
    """One of the four convolutions.

    Attributes:
        name: row and column of the phase, as two digits.
        kernel: float32 [out, in, 2, 2].
        pads: above, left, below, right.
    """

    name: str
    kernel: NDArray[np.float32]
    pads: list[int]


def split_phases(weight: NDArray[np.float32]) -> list[Phase]:
    """Splits a weight [in, out, 4, 4] into four convolutions that keep the input's size."""
    return [
        Phase(name=f"{a}{b}", kernel=_kernel(weight, a, b), pads=[1 - a, 1 - b, a, b])
        for a, b in PHASES
    ]


def join_phases(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joins the four phases of a weight [in, out, 4, 4] into one convolution.

    It works on a grid one larger than the input.     The input is padded by 1 on each side. After
    depth-to-space (in the order of PHASES) the result has a border of one pixel to crop. On this
    grid the phases swap places: cell u holds the end of input pixel u - 1 and the beginning of
    input pixel u.

    Returns:
        kernel [4 out, in, 2, 2].
    """
    return np.concatenate([_kernel(weight, 1 - a, 1 - b) for a, b in PHASES])


def merge_phases(kernels: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The inverse of `split_phases`: kernels [out, in, 2, 2] by name -> weight [in, out, 4, 4]."""
    channels_out, channels_in = kernels["00"].shape[:2]

    weight = np.empty((channels_in, channels_out, 4, 4), dtype=np.float32)
    for a, b in PHASES:
        rows, columns = np.ix_(_TAPS[a], _TAPS[b])
        weight[:, :, rows, columns] = kernels[f"{a}{b}"].transpose(1, 0, 2, 3)
    return weight


def merge_joined(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `join_phases`: kernel [4 out, in, 2, 2] -> weight [in, out, 4, 4]."""
    parts = np.split(kernel, len(PHASES))
    return merge_phases(
        {f"{1 - a}{1 - b}": part for (a, b), part in zip(PHASES, parts, strict=True)}
    )


def _kernel(weight: NDArray[np.float32], row: int, column: int) -> NDArray[np.float32]:
    taps = weight[:, :, _TAPS[row], :][:, :, :, _TAPS[column]]
    return np.ascontiguousarray(taps.transpose(1, 0, 2, 3))
