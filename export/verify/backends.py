"""Ways to run one model: in PyTorch, from a TorchScript or .pt2 file, from an ONNX file on an execution provider."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from dcgan.core import onnx_session
from dcgan.core.images import Pixels
from dcgan.core.onnx_session import SessionError
from dcgan.core.text import first_line
from dcgan.export.errors import FailedRunError, WrongProviderError
from dcgan.export.formats.pt2 import read_pt2
from dcgan.export.formats.torchscript import read_torchscript
from dcgan.export.graph.onnx_graph import FLOAT_IMAGES, expose
from dcgan.export.graph.postprocess import Served
from dcgan.training.models.pixels import to_pixels
from dcgan.zoo.golden import golden_labels, golden_latents
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

TORCHSCRIPT = "TorchScript"
PT2 = "torch.export"
EAGER = "PyTorch"


@dataclass(frozen=True)
class Output:
    """What a model makes of one batch.

    Attributes:
        images: uint8 [batch, H, W, C].
        floats: [batch, C, H, W] in [-1, 1], before rounding; float32, or float64 from a reference.
    """

    images: Pixels
    floats: NDArray[np.floating]


class Batch(NamedTuple):
    """What a model makes images of: z float32 [batch, d], and label int64 [batch] where it has classes."""

    z: NDArray[np.float32]
    label: NDArray[np.int64] | None = None

    @property
    def feeds(self) -> dict[str, NDArray[np.generic]]:
        """The inputs by name, as ONNX Runtime takes them."""
        return {"z": self.z} if self.label is None else {"z": self.z, "label": self.label}

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs in order, as PyTorch takes them."""
        return tuple(torch.from_numpy(array) for array in self.feeds.values())


def golden_batch(manifest: Manifest) -> Batch:
    """The inputs of a model's golden images."""
    labels = golden_labels(manifest.golden) if manifest.classes else None
    return Batch(golden_latents(manifest.golden, manifest.latent_size), labels)


class Runner(Protocol):
    """Something that makes images out of latent vectors.

    Attributes:
        file: name of the file that it runs; a description where there is no file.
        precision: of the arithmetic, as in the manifest.
        provider: what runs it.
    """

    file: str
    precision: str
    provider: str

    def __call__(self, batch: Batch) -> Output:
        """Runs one batch."""
        ...


class EagerRunner:
    """Runs a network in PyTorch, on the CPU; as a reference, a copy of it in double precision."""

    precision, provider = "fp32", EAGER

    def __init__(self, network: nn.Module, file: str, *, double: bool = False) -> None:
        self.file = file
        self._kind = torch.float64 if double else torch.float32
        self._served = Served(copy.deepcopy(network).double() if double else network)

    def __call__(self, batch: Batch) -> Output:
        """Runs one batch."""
        with torch.inference_mode():
            z, *label = batch.tensors
            floats = self._served.float_images(z.to(self._kind), *label)
            return Output(to_pixels(floats).numpy(), floats.numpy())


class TorchScriptRunner:
    """Runs a TorchScript file, loaded from disk, on the CPU."""

    precision, provider = "fp32", TORCHSCRIPT

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._module = read_torchscript(path)

    def __call__(self, batch: Batch) -> Output:
        """Runs one batch."""
        with torch.inference_mode(), _failures(self.file, len(batch.z)):
            return Output(
                self._module(*batch.tensors).numpy(),
                self._module.float_images(*batch.tensors).numpy(),
            )


class Pt2Runner:
    """Runs an exported program, loaded from disk, on the CPU."""

    precision, provider = "fp32", PT2

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._module = read_pt2(path).module()

    def __call__(self, batch: Batch) -> Output:
        """Runs one batch."""
        with torch.inference_mode(), _failures(self.file, len(batch.z)):
            images, floats = self._module(*batch.tensors)
            return Output(images.numpy(), floats.numpy())


class OnnxRunner:
    """Runs an ONNX file, loaded from disk, on one execution provider and no other."""

    def __init__(self, path: Path, precision: str, provider: str) -> None:
        self.file, self.precision, self.provider = path.name, precision, provider
        model = onnx.load(path)
        _, height, _, channels = (
            axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim
        )
        self._served = open_session(path.read_bytes(), provider, path.name)
        self._exposed = open_session(
            expose(model, channels, height).SerializeToString(), provider, path.name
        )

    def __call__(self, batch: Batch) -> Output:
        """Runs one batch: pixels from the file itself, floats from a copy that shows them."""
        with _failures(self.file, len(batch.z)):
            (floats,) = self._exposed.run([FLOAT_IMAGES], batch.feeds)
        return Output(self.images(batch), floats)

    def images(self, batch: Batch) -> Pixels:
        """Runs one batch for its pixels alone, uint8 [batch, H, W, C]."""
        with _failures(self.file, len(batch.z)):
            (images,) = self._served.run(["images"], batch.feeds)
        return cast(Pixels, images)


def open_session(model: bytes, provider: str, name: str) -> ort.InferenceSession:
    """Opens a session on one provider, and refuses any other; see `dcgan.core.onnx_session`.

    Raises:
        WrongProviderError: if the provider cannot run the model, or not all of it.
    """
    try:
        return onnx_session.open_session(model, provider, name=name)
    except SessionError as error:
        raise WrongProviderError(str(error)) from error


@contextmanager
def _failures(file: str, batch: int) -> Iterator[None]:
    """Turns what a runtime raises, each in classes of its own, into our error."""
    try:
        yield
    except Exception as error:
        raise FailedRunError(f"{file} fails on a batch of {batch}: {first_line(error)}") from error
