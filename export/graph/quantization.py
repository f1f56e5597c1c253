"""Scale and zero point of a tensor in 8 bits, and which convolutions of a graph run in int8."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "head"
"""Name of the last convolution; the others are "hidden.1", "hidden.2", ...

The first layer always stays in float.
"""


@dataclass(frozen=True)
class QuantizationParams:
    """Per-tensor uint8 quantization: real value = scale * (quantized value - zero_point).

    Attributes:
        scale: width of one quantization step.
        zero_point: the quantized value, 0 to 255, that stands for 0.
    """

    scale: float
    zero_point: int = 0


@dataclass(frozen=True, kw_only=True)
class Int8Plan:
    """How a network is computed in int8.

    Attributes:
        activations: parameters of the activations after each hidden layer.
        outputs: parameters of the output of each hidden convolution: those of the activations, or,
            with classes, of the values before the scale and shift of the class.
        head: parameters of the output of the last convolution, before the tanh.
        affine: whether the network has classes.
        floats: names of the convolutions that stay in float32.
    """

    activations: tuple[QuantizationParams, ...]
    outputs: tuple[QuantizationParams, ...]
    head: QuantizationParams
    affine: bool = False
    floats: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The convolutions that can run in int8, in order."""
        return [*(f"hidden.{i}" for i in range(1, len(self.activations))), HEAD]

    def is_int8(self, name: str) -> bool:
        """Returns whether a convolution runs in int8."""
        return name in self.names and name not in self.floats

    def feeds_int8(self, i: int) -> bool:
        """Returns whether the convolution after hidden layer i runs in int8."""
        return self.is_int8(f"hidden.{i + 1}" if i + 1 < len(self.activations) else HEAD)

    def is_quantized(self, i: int) -> bool:
        """Returns whether the activations after hidden layer i are 8 bits.

        They are if the next convolution takes 8 bits, or if this one produces them.
        """
        made_in_int8 = self.is_int8(f"hidden.{i}") and not self.affine
        return self.feeds_int8(i) or made_in_int8
