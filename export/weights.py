"""`generator.safetensors`: the released weights, in a format that cannot run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from dcgan.export.fold import Folded

FACTS = "dcgan"
"""Key of the metadata entry that says what the model is."""


def write_weights(network: Folded, path: Path, *, facts: str, half: bool) -> None:
    """Writes the weights of a folded network, as float16 where they were rounded to it."""
    kind = torch.float16 if half else torch.float32
    weights = {name: weight.to(kind).contiguous() for name, weight in network.state_dict().items()}
    path.write_bytes(save(weights, metadata={FACTS: facts}))
