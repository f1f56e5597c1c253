"""Which convolutions run in int8, and in which steps; how that is found, and how it is written, is for others."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.export.graph.builder import Steps

HEAD = "head"
"""Name of the last convolution; the others are "hidden.1", "hidden.2", ... The first layer stays in float."""


@dataclass(frozen=True, kw_only=True)
class Int8Plan:
    """How a network is computed in 8 bits.

    Attributes:
        activations: steps of the activations after each hidden layer.
        outputs: steps of the output of each hidden convolution: those of the activations, or, with classes, of what
            comes before the scale and shift of the class.
        head: steps of the output of the last convolution, before the tanh.
        affine: whether the network has classes.
        floats: names of the convolutions that stay in float32.
    """

    activations: tuple[Steps, ...]
    outputs: tuple[Steps, ...]
    head: Steps
    affine: bool = False
    floats: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The convolutions that could run in int8, in order."""
        return [*(f"hidden.{i}" for i in range(1, len(self.activations))), HEAD]

    def is_int8(self, name: str) -> bool:
        """Whether a convolution runs in int8."""
        return name in self.names and name not in self.floats

    def rounds_after(self, i: int) -> bool:
        """Whether the activations after hidden layer i are wanted in 8 bits."""
        return self.is_int8(f"hidden.{i + 1}" if i + 1 < len(self.activations) else HEAD)

    def rounded(self, i: int) -> bool:
        """Whether the activations after hidden layer i are 8 bits: they are wanted so, or were made so."""
        return self.rounds_after(i) or (self.is_int8(f"hidden.{i}") and not self.affine)
