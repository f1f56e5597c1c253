"""`generator.pt2`: the network as an exported program, the successor of TorchScript.

PyTorch reads such a file back with the version that wrote it, and promises little beyond that: it is no archive format,
and so it is written on request only. Its bytes depend on the network and on PyTorch's version, once the lines of Python
that PyTorch notes beside each operation are taken out.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from dcgan.export.errors import FailedRunError, WeightMismatchError
from dcgan.export.formats.weights import network_of
from dcgan.export.graph.fold import Folded
from dcgan.export.graph.postprocess import Served, examples
from dcgan.training.models.pixels import to_pixels

FACTS = "dcgan.json"
"""Name of the extra file inside the archive that says what the model is."""

_MOST_IMAGES = 2**20  # in a batch
_NETWORK = "served.network."  # what the names of the weights begin with


class PixelsAndFloats(nn.Module):
    """A generator with both of its outputs: an exported program has one method only."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served
        self.training = served.training

    def forward(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standard normals [B, latent_size] -> pixels, uint8 [B, H, W, C], and float images [B, C, H, W]."""
        floats = self.served.float_images(z, label)
        return to_pixels(floats), floats


def write_pt2(
    network: Served, path: Path, *, latent_size: int, facts: str, classes: int = 0
) -> None:
    """Exports a network for batches of any size, and saves it.

    Args:
        network: what to export, in evaluation mode.
        path: the file to write.
        latent_size: length of a latent vector.
        facts: JSON document to embed.
        classes: number of classes, 0 without labels.
    """
    inputs = examples(latent_size, classes)
    batch = Dim("batch", min=1, max=_MOST_IMAGES)
    program = torch.export.export(
        PixelsAndFloats(network),
        inputs,
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        strict=False,
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files={FACTS: facts})
    path.write_bytes(archive.getvalue())


def read_pt2(path: Path) -> ExportedProgram:
    """Loads a file that `write_pt2` wrote. It can run code: never load one from a stranger.

    Raises:
        FailedRunError: if it cannot be loaded.
    """
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever its pickles and JSON raise
        raise FailedRunError(f"{path.name} cannot be loaded: {type(error).__name__}") from error


def read_pt2_weights(path: Path) -> Folded:
    """Reads the network whose weights such a file holds.

    Raises:
        FailedRunError: if it cannot be loaded.
        WeightMismatchError: if it does not hold the weights of a generator.
    """
    weights = {
        name.removeprefix(_NETWORK): weight for name, weight in read_pt2(path).state_dict.items()
    }
    try:
        return network_of(weights)
    except (KeyError, ValueError, RuntimeError):
        raise WeightMismatchError(f"{path.name} does not hold the weights of a generator") from None
