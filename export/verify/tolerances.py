"""Tolerances of the parity gate for each precision and provider, with the reason of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dcgan.core.onnx_session import CPU, CUDA

EAGER = "PyTorch"
TORCHSCRIPT = "TorchScript"
PT2 = "torch.export"
"""Names of other providers than those of ONNX Runtime in the manifest and in parity.json."""

QUALITY_IMAGES = 4096
"""Images over which a signal-to-noise ratio is measured."""


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far a file may be from the reference. The fields are keys in parity.json.

    Attributes:
        max_abs_error: of a float pixel in [-1, 1]; one grey level is 7.8e-3.
        max_levels: of a channel of a pixel, over all probes, including out-of-distribution ones.
        pixels_changed: share of pixels that may differ at all.
        batch_invariant: whether an image must have the same bytes in every batch.
        reason: for these values.
        min_psnr: least signal-to-noise ratio over QUALITY_IMAGES images, in decibels; None if it is
            not measured.
        quality_levels: of a channel of a pixel, over these images.
    """

    max_abs_error: float
    max_levels: int
    pixels_changed: float
    batch_invariant: bool
    reason: str
    min_psnr: float | None = None
    quality_levels: int | None = None


_SAME_ARITHMETIC = (
    "float32 sums in another order; a pixel changes only where its value was between two levels"
)

_SAME_FUNCTION = Tolerances(
    max_abs_error=1e-5,
    max_levels=1,
    pixels_changed=1e-3,
    batch_invariant=False,
    reason=_SAME_ARITHMETIC,
)

TOLERANCES = {
    ("fp32", EAGER): _SAME_FUNCTION,
    ("fp32", TORCHSCRIPT): _SAME_FUNCTION,
    ("fp32", PT2): _SAME_FUNCTION,
    ("fp32", CPU): replace(_SAME_FUNCTION, batch_invariant=True),
    ("fp32", CUDA): Tolerances(
        max_abs_error=5e-3,
        max_levels=1,
        pixels_changed=0.25,
        batch_invariant=False,
        reason=(
            "allows for TF32, which a convolution may use although it is turned off "
            "(microsoft/onnxruntime#21752)"
        ),
    ),
    ("fp16", CPU): Tolerances(
        max_abs_error=2e-2,
        max_levels=3,
        pixels_changed=0.5,
        batch_invariant=True,
        min_psnr=50.0,
        quality_levels=3,
        reason=(
            "weights with 11 significant bits; "
            "the CPU has no float16 kernels and computes with them in float32"
        ),
    ),
    ("fp16", CUDA): Tolerances(
        max_abs_error=4e-2,
        max_levels=4,
        pixels_changed=0.75,
        batch_invariant=False,
        min_psnr=45.0,
        quality_levels=4,
        reason="weights and activations with 11 significant bits; an H100 was off by 1 level",
    ),
    ("int8", CPU): Tolerances(
        max_abs_error=2.0,
        max_levels=255,
        pixels_changed=1.0,
        batch_invariant=True,
        min_psnr=38.0,
        quality_levels=64,
        reason=(
            "8-bit activations and weights: another function by design, "
            "judged by the similarity of its images; "
            "activations are clipped for noise scaled by 4 and 8, which the service never draws"
        ),
    ),
}
