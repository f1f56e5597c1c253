"""`generator.safetensors`: the released weights, in a format that cannot run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from dcgan.export.errors import ExportError
from dcgan.export.graph.fold import FoldedGenerator

METADATA_KEY = "dcgan"
"""Key of the metadata entry that holds the manifest."""


def write_safetensors(
    network: FoldedGenerator, path: Path, *, metadata: str, float16: bool
) -> None:
    """Writes the weights of a folded network.

    Args:
        network: the network.
        path: the file to write.
        metadata: JSON document to embed.
        float16: store the weights as float16. Exact if they were rounded by `round_to_float16`.
    """
    dtype = torch.float16 if float16 else torch.float32
    weights = {name: weight.to(dtype).contiguous() for name, weight in network.state_dict().items()}
    path.write_bytes(save(weights, metadata={METADATA_KEY: metadata}))


def read_safetensors(path: Path) -> FoldedGenerator:
    """Reads the network that `write_safetensors` wrote; its shape follows from the weights.

    Raises:
        ExportError: if the file is damaged, or holds something else.
    """
    try:
        weights = {name: weight.float() for name, weight in load(path.read_bytes()).items()}
        return FoldedGenerator.from_weights(weights)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ExportError(
            f"{path} does not hold a generator: {reason:.200}; export it again"
        ) from None
