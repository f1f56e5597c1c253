"""Ways to run one model: in PyTorch, from a TorchScript file, from an ONNX file on an execution provider."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from dcgan.export.errors import FailedRunError, WrongProviderError
from dcgan.export.onnx_graph import FLOAT_IMAGES, expose
from dcgan.export.served import Served, to_pixels
from dcgan.export.torchscript import read_torchscript
from dcgan.zoo.picture import Pixels
from dcgan.zoo.processor import CUDA_OPTIONS

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TORCHSCRIPT = "TorchScript"
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

    def __call__(self, z: NDArray[np.float32]) -> Output:
        """Runs one batch, z float32 [batch, d]."""
        ...


class EagerRunner:
    """Runs a network in PyTorch, on the CPU; as a reference, a copy of it in double precision."""

    precision, provider = "fp32", EAGER

    def __init__(self, network: nn.Module, file: str, *, double: bool = False) -> None:
        self.file = file
        self._kind = torch.float64 if double else torch.float32
        self._served = Served(copy.deepcopy(network).double() if double else network)

    def __call__(self, z: NDArray[np.float32]) -> Output:
        """Runs one batch."""
        with torch.inference_mode():
            floats = self._served.float_images(torch.from_numpy(z).to(self._kind))
            return Output(to_pixels(floats).numpy(), floats.numpy())


class TorchScriptRunner:
    """Runs a TorchScript file, loaded from disk, on the CPU."""

    precision, provider = "fp32", TORCHSCRIPT

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._module = read_torchscript(path)

    def __call__(self, z: NDArray[np.float32]) -> Output:
        """Runs one batch."""
        with torch.inference_mode(), _failures(self.file, len(z)):
            latents = torch.from_numpy(z)
            return Output(self._module(latents).numpy(), self._module.float_images(latents).numpy())


class OnnxRunner:
    """Runs an ONNX file, loaded from disk, on one execution provider and no other."""

    def __init__(self, path: Path, precision: str, provider: str) -> None:
        self.file, self.precision, self.provider = path.name, precision, provider
        model = onnx.load(path)
        _, height, _, channels = (axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim)
        self._served = open_session(path.read_bytes(), provider, path.name)
        self._exposed = open_session(expose(model, channels, height).SerializeToString(), provider, path.name)

    def __call__(self, z: NDArray[np.float32]) -> Output:
        """Runs one batch: pixels from the file itself, floats from a copy that shows them."""
        with _failures(self.file, len(z)):
            (floats,) = self._exposed.run([FLOAT_IMAGES], {"z": z})
        return Output(self.images(z), floats)

    def images(self, z: NDArray[np.float32]) -> Pixels:
        """Runs one batch for its pixels alone, uint8 [batch, H, W, C]."""
        with _failures(self.file, len(z)):
            (images,) = self._served.run(["images"], {"z": z})
        return cast(Pixels, images)


def open_session(model: bytes, provider: str, name: str) -> ort.InferenceSession:
    """Opens a session on one provider, and refuses any other.

    ONNX Runtime would otherwise fall back to the CPU, for a single node or for the whole graph, and say nothing.

    Raises:
        WrongProviderError: if the provider cannot run the model, or not all of it.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its complaints come back as the exception
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen = (provider, CUDA_OPTIONS) if provider == CUDA else provider
    try:
        session = ort.InferenceSession(model, options, providers=[chosen], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's own classes have no base but this
        raise WrongProviderError(f"{name} does not run on {provider}: {first_line(error)}") from error
    if session.get_providers()[0] != provider:
        raise WrongProviderError(f"{name} was to run on {provider} and runs on {session.get_providers()[0]}")
    return session


def providers_at_hand() -> list[str]:
    """The execution providers of ONNX Runtime that this machine can use; the CPU first."""
    cuda = CUDA in ort.get_available_providers() and torch.cuda.is_available()
    return [CPU, CUDA] if cuda else [CPU]


@contextmanager
def _failures(file: str, batch: int) -> Iterator[None]:
    """Turns what a runtime raises, each in classes of its own, into our error."""
    try:
        yield
    except Exception as error:
        raise FailedRunError(f"{file} fails on a batch of {batch}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
