"""`generator.pt2`: the network as an exported program, the successor of TorchScript.

PyTorch promises to read such a file only with the version that wrote it, so the format does not
suit archives, and is written on request only. Its bytes depend on the network and on PyTorch's
version, once the Python stack traces that PyTorch stores with each operation are removed.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from dcgan.export.errors import FailedRunError, WeightMismatchError
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.postprocess import PixelGenerator, example_inputs
from dcgan.training.models.pixels import to_pixels

METADATA_FILE = "dcgan.json"
"""Name of the extra file inside the archive that holds the manifest."""

_MAX_BATCH = 2**20
_WEIGHT_PREFIX = "served.network."


class PixelsAndFloats(nn.Module):
    """A generator with both of its outputs, because an exported program has one method only."""

    def __init__(self, generator: PixelGenerator) -> None:
        super().__init__()
        self.served = generator  # the name is part of the published file: see _WEIGHT_PREFIX
        self.training = generator.training

    def forward(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standard normals [B, latent_size] -> uint8 [B, H, W, C], and floats [B, C, H, W]."""
        floats = self.served.float_images(z, label)
        return to_pixels(floats), floats


def write_pt2(
    generator: PixelGenerator, path: Path, *, latent_size: int, classes: int = 0, metadata: str
) -> None:
    """Exports a generator for batches of any size, and saves it.

    Args:
        generator: what to export, in evaluation mode.
        path: the file to write.
        latent_size: length of a latent vector.
        classes: number of classes, 0 without labels.
        metadata: JSON document to embed.
    """
    inputs = example_inputs(latent_size, classes)
    batch = Dim("batch", min=1, max=_MAX_BATCH)
    program = torch.export.export(
        PixelsAndFloats(generator),
        inputs,
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        strict=False,
    )
    program.example_inputs = None  # they would be stored as a pickle
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)

    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files={METADATA_FILE: metadata})
    path.write_bytes(archive.getvalue())


def read_pt2(path: Path) -> ExportedProgram:
    """Loads an exported program. Loading can run code: call it on trusted files only.

    Raises:
        FailedRunError: if it cannot be loaded.
    """
    try:
        return torch.export.load(path)
    except Exception as error:  # its pickles and JSON raise many kinds
        raise FailedRunError(f"{path.name} cannot be loaded: {type(error).__name__}") from error


def read_pt2_weights(path: Path) -> FoldedGenerator:
    """Reads the network whose weights an exported program holds.

    Raises:
        FailedRunError: if it cannot be loaded.
        WeightMismatchError: if it does not hold the weights of a generator.
    """
    state = read_pt2(path).state_dict
    weights = {name.removeprefix(_WEIGHT_PREFIX): weight for name, weight in state.items()}
    try:
        return FoldedGenerator.from_weights(weights)
    except (KeyError, ValueError, RuntimeError):
        raise WeightMismatchError(f"{path.name} does not hold the weights of a generator") from None
