"""`generator.safetensors`: the released weights, in a format that cannot run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from dcgan.core.errors import DcganError
from dcgan.export.errors import ExportError
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.tensor_header import read_header

METADATA_KEY = "dcgan"
"""Key of the metadata entry that holds the manifest."""

_MAX_BYTES = 2**30  # of a file that is read; those of 64x64 images have under 2**24

_READ_ERRORS = (OSError, SafetensorError, KeyError, ValueError, RuntimeError, DcganError)


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

    Types and shapes are checked before any weight is read: a file of holes can hold gigabytes.

    Raises:
        ExportError: if the file is damaged, or holds something else.
    """
    try:
        _check_layout(path)
        weights = {name: weight.float() for name, weight in load_file(path).items()}
        return FoldedGenerator.from_weights(weights)
    except _READ_ERRORS as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ExportError(
            f"{path} does not hold a generator: {reason:.200}; export it again"
        ) from None


def _check_layout(path: Path) -> None:
    """Checks that a file holds a generator as recipes describe it, of a bounded size.

    Raises:
        One of _READ_ERRORS: if it does not.
    """
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is no regular file of at most {_MAX_BYTES // 2**20} MiB")
    layout = read_header(path)
    if not {weight.dtype for weight in layout.values()} <= {torch.float16, torch.float32}:
        raise ValueError("its weights are neither float32 nor float16")

    with torch.device("meta"):
        network = FoldedGenerator.from_weights(layout)
    config = GeneratorConfig(
        image_size=network.image_size,
        channels=network.channels,
        latent_size=network.latent_size,
        width=network.head.in_channels,
        classes=network.classes,
    )
    widths = [config.width << i for i in reversed(range(len(network.hidden)))]
    if [layer.out_channels for layer in network.layers[:-1]] != widths:
        raise ValueError("its layers have other widths than those of a recipe")
