"""The network at each stage of an export: trained, folded, released."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.export.graph.fold import FoldedGenerator, fold, round_to_float16
from dcgan.training.models.networks import Generator


@dataclass(frozen=True)
class NetworkStages:
    """A network from training to release.

    Attributes:
        trained: as it was trained, in evaluation mode.
        folded: without batch normalization.
        released: with the weights that are published; `folded` itself unless they are rounded.
    """

    trained: Generator
    folded: FoldedGenerator
    released: FoldedGenerator


def fold_for_release(generator: Generator, weights: str) -> NetworkStages:
    """Folds a trained generator, and rounds its weights if they are released so.

    Args:
        generator: in evaluation mode.
        weights: "fp32", or "fp16" to round to float16.

    Raises:
        ExportError: if it cannot be folded, or a weight is too large for float16.
    """
    folded = fold(generator)
    released = round_to_float16(folded) if weights == "fp16" else folded
    return NetworkStages(generator, folded, released)
