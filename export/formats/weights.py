"""`generator.safetensors`: the released weights, in a format that cannot run code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from dcgan.export.errors import ExportError
from dcgan.export.graph.fold import ClassAffine, Folded

FACTS = "dcgan"
"""Key of the metadata entry that says what the model is."""


def write_weights(network: Folded, path: Path, *, facts: str, half: bool) -> None:
    """Writes the weights of a folded network, as float16 where they were rounded to it."""
    kind = torch.float16 if half else torch.float32
    weights = {name: weight.to(kind).contiguous() for name, weight in network.state_dict().items()}
    path.write_bytes(save(weights, metadata={FACTS: facts}))


def read_weights(path: Path) -> Folded:
    """Reads the network that `write_weights` wrote; its shape follows from the weights.

    Raises:
        ExportError: if the file is damaged, or holds something else.
    """
    try:
        weights = {name: weight.float() for name, weight in load(path.read_bytes()).items()}
        network = network_of(weights)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ExportError(
            f"{path} does not hold a generator: {reason:.200}; export it again"
        ) from None
    return network


def network_of(weights: dict[str, Tensor]) -> Folded:
    """The network that has these weights, by the names of `Folded.state_dict`.

    Raises:
        KeyError, ValueError, RuntimeError: if there is none.
    """
    layers = sum(name.startswith("hidden.") and name.endswith(".weight") for name in weights)
    hidden = [_layer(weights, f"hidden.{i}", first=i == 0) for i in range(layers)]
    tables = [
        weights[name] for name in (f"affines.{i}.gain" for i in range(layers)) if name in weights
    ]
    network = Folded(
        hidden,
        _layer(weights, "head", first=False),
        [ClassAffine(*table.shape) for table in tables],
    )
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _layer(weights: dict[str, Tensor], name: str, *, first: bool) -> nn.ConvTranspose2d:
    channels_in, channels_out, *_ = weights[f"{name}.weight"].shape
    stride, padding = (1, 0) if first else (2, 1)
    return nn.ConvTranspose2d(
        channels_in, channels_out, 4, stride, padding, bias=f"{name}.bias" in weights
    )
