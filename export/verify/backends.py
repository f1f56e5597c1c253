"""Backends that run one model: in PyTorch, or from a TorchScript, .pt2 or ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CUDA, DEFAULT_CUDA_BATCH_SIZE
from dcgan.core.text import first_line
from dcgan.export.errors import FailedRunError
from dcgan.export.formats.pt2 import read_pt2
from dcgan.export.formats.torchscript import read_torchscript
from dcgan.export.graph.onnx_graph import expose_float_images
from dcgan.export.graph.plain_graph import FLOAT_IMAGES
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.verify.inputs import ModelInputs, ModelOutputs
from dcgan.export.verify.session import open_session
from dcgan.export.verify.tolerances import EAGER, PT2, TORCHSCRIPT
from dcgan.training.models.pixels import to_pixels

if TYPE_CHECKING:
    import onnxruntime as ort


class Backend(Protocol):
    """Something that runs one model.

    Attributes:
        file: name of the file that it runs; a description where there is no file.
        precision: of the arithmetic, as in the manifest.
        provider: what runs it.
        is_thread_safe: whether several threads may call it at once.
    """

    file: str
    precision: str
    provider: str
    is_thread_safe: bool

    def __call__(self, inputs: ModelInputs) -> ModelOutputs:
        """Runs one batch."""
        ...


class EagerBackend:
    """Runs a network in PyTorch on the CPU.

    Args:
        network: what to run.
        name: for the report.
        double: run a copy of it in float64, as a reference.
    """

    precision = "fp32"
    provider = EAGER
    is_thread_safe = True

    def __init__(self, network: nn.Module, name: str, *, double: bool = False) -> None:
        self.file = name
        self._dtype = torch.float64 if double else torch.float32
        self._generator = PixelGenerator(copy.deepcopy(network).double() if double else network)

    @property
    def is_double(self) -> bool:
        """Whether it computes in float64."""
        return self._dtype == torch.float64

    def __call__(self, inputs: ModelInputs) -> ModelOutputs:
        """Runs one batch."""
        z, *label = inputs.tensors
        with torch.inference_mode():
            floats = self._generator.float_images(z.to(self._dtype), *label)
            return ModelOutputs(to_pixels(floats).numpy(), floats.numpy())

    def images(self, inputs: ModelInputs) -> Pixels:
        """Runs one batch for its pixels only, uint8 [batch, H, W, C]."""
        return self(inputs).images


class TorchScriptBackend:
    """Runs a TorchScript file, loaded from disk, on the CPU."""

    precision = "fp32"
    provider = TORCHSCRIPT
    is_thread_safe = False  # the first calls optimize the graph

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._module = read_torchscript(path)

    def __call__(self, inputs: ModelInputs) -> ModelOutputs:
        """Runs one batch."""
        with torch.inference_mode(), _failures_named(self.file, inputs):
            images = self._module(*inputs.tensors)
            floats = self._module.float_images(*inputs.tensors)
            return ModelOutputs(images.numpy(), floats.numpy())


class Pt2Backend:
    """Runs an exported program, loaded from disk, on the CPU."""

    precision = "fp32"
    provider = PT2
    is_thread_safe = False

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._module = read_pt2(path).module()

    def __call__(self, inputs: ModelInputs) -> ModelOutputs:
        """Runs one batch."""
        with torch.inference_mode(), _failures_named(self.file, inputs):
            images, floats = self._module(*inputs.tensors)
            return ModelOutputs(images.numpy(), floats.numpy())


class OnnxBackend:
    """Runs an ONNX file, loaded from disk, on one execution provider without fallback.

    Args:
        path: the file.
        precision: of its arithmetic.
        provider: e.g. "CPUExecutionProvider".
        batch_size: images in every batch, padding included; None for batches as they are given. By
            default that of the service, which is fixed on CUDA.

    Raises:
        WrongProviderError: if the provider cannot run the file, or not all of it.
    """

    def __init__(
        self, path: Path, precision: str, provider: str, batch_size: int | None = None
    ) -> None:
        self.file = path.name
        self.precision = precision
        self.provider = provider
        # On CUDA each thread would make cuDNN plan again, in handles of this thread alone.
        self.is_thread_safe = provider != CUDA
        self.batch_size = DEFAULT_CUDA_BATCH_SIZE if provider == CUDA else None
        if batch_size is not None:
            self.batch_size = batch_size
        self._session = open_session(path.read_bytes(), provider, path.name, precision)

        # Float images come from a copy of the graph that has them as an output.
        model = onnx.load(path, load_external_data=False)
        image_axes = model.graph.output[0].type.tensor_type.shape.dim
        _, height, _, channels = (axis.dim_value for axis in image_axes)
        exposed = expose_float_images(model, channels, height)
        self._float_session = open_session(
            exposed.SerializeToString(), provider, path.name, precision
        )

    def __call__(self, inputs: ModelInputs) -> ModelOutputs:
        """Runs one batch."""
        floats = self._run(self._float_session, FLOAT_IMAGES, inputs)
        return ModelOutputs(self.images(inputs), cast(NDArray[np.floating], floats))

    def images(self, inputs: ModelInputs) -> Pixels:
        """Runs one batch for its pixels only, uint8 [batch, H, W, C]."""
        return cast(Pixels, self._run(self._session, "images", inputs))

    def _run(
        self, session: ort.InferenceSession, output: str, inputs: ModelInputs
    ) -> NDArray[np.generic]:
        with _failures_named(self.file, inputs):
            if self.batch_size is None:
                return cast(NDArray[np.generic], session.run([output], inputs.feeds)[0])

            results = []
            for start in range(0, len(inputs.z), self.batch_size):
                batch = inputs.rows(start, start + self.batch_size)
                padded = batch.padded_to(self.batch_size)
                results.append(session.run([output], padded.feeds)[0][: len(batch.z)])
            return np.concatenate(results)


@contextmanager
def _failures_named(file: str, inputs: ModelInputs) -> Iterator[None]:
    """Turns a runtime's exception into a FailedRunError with the file and the batch size."""
    try:
        yield
    except Exception as error:  # each runtime has its own classes
        raise FailedRunError(
            f"{file} fails on a batch of {len(inputs.z)}: {first_line(error)}"
        ) from error
