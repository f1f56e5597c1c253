"""What to export, and as what: formats, precisions, name and licence of the released model."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.zoo.license import NO_LICENSE

DEFAULT_FORMATS = ("onnx", "torchscript", "safetensors")
"""The formats that are written unless others are named; "pt2" is written on request only."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to release.

    Attributes:
        name: of the model.
        version: of the model.
        formats: any of DEFAULT_FORMATS and "pt2".
        weights: "fp32", or "fp16" to release weights rounded to float16.
        license: SPDX identifier.
        description: what the model generates, in a sentence; empty for the description in the run's
            recipe.
        int8: also write an ONNX file that computes in int8, for the CPU.
        fp16: also write an ONNX file that computes in float16, for CUDA.
        target: "cpu" or "cuda": the provider on which the float32 graph should be fast.
    """

    name: str
    version: int
    formats: tuple[str, ...] = DEFAULT_FORMATS
    weights: str = "fp32"
    license: str = NO_LICENSE
    description: str = ""
    int8: bool = False
    fp16: bool = False
    target: str = "cpu"

    @property
    def onnx_precisions(self) -> tuple[str, ...]:
        """The precisions of the ONNX files to write."""
        wanted = {"fp32": "onnx" in self.formats, "int8": self.int8, "fp16": self.fp16}
        return tuple(precision for precision, is_wanted in wanted.items() if is_wanted)
