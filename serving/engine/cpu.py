"""ONNX Runtime around one model file: latent vectors in, images out.

On the CPU every batch has exactly the size that is asked for: cost is linear in it and the result does not depend on
it. CUDA is in `cuda.py`; `engines.py` opens the engines of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dcgan.core import onnx_session
from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CPU, SessionError, session_options
from dcgan.serving.api.errors import ServingError
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

DEVICES = ("auto", "cpu", "cuda")

_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How engines run.

    Attributes:
        device: one of DEVICES; auto takes CUDA where there is a GPU.
        instances: batches of each model made at once, each by a thread of its own; 0 for one on each processor,
            8 at most, or one on CUDA.
        intra_op_threads: threads of one session on the CPU; 0 for an equal share of the processors.
        spinning: whether these threads spin while they wait, which takes processor time from everyone else.
        max_batch: most images in a batch on the CPU.
        buckets: batch sizes on CUDA, rising.
        cuda_graphs: whether each bucket is captured once and replayed.
    """

    device: str = "auto"
    instances: int = 0
    intra_op_threads: int = 0
    spinning: bool = False
    max_batch: int = 16
    buckets: tuple[int, ...] = (1, 8, 64, 256)
    cuda_graphs: bool = False


class Engine(Protocol):
    """What makes images."""

    provider: str
    max_batch: int

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """Makes the images of z [b, d] and label [b], b at most max_batch, as uint8 [b, H, W, C].

        Another thread that sets `terminate` of the options has this run, and no other, fail at its next layer.

        Raises:
            EngineError: if ONNX Runtime fails.
        """

    def padding(self, images: int) -> int:
        """How many images are made in vain beside that many."""


class EngineError(Exception):
    """A batch that could not be made."""


class CpuEngine:
    """One session on the CPU, for any batch size up to the largest; any number of threads may call it at once."""

    provider = CPU

    def __init__(self, path: Path, manifest: Manifest, config: EngineConfig) -> None:
        options = session_options(
            intra_op_threads=config.intra_op_threads, spinning=config.spinning
        )
        self.max_batch = config.max_batch
        self._session = open_session(path, CPU, options)
        check_signature(self._session, manifest, path)

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """See Engine."""
        feeds = {"z": z} if label is None else {"z": z, "label": label}
        try:
            images: Pixels = self._session.run(["images"], feeds, options)[0]
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise EngineError(str(error)) from error
        return images

    def padding(self, images: int) -> int:  # noqa: ARG002
        """None: batches are exact."""
        return 0


def open_session(
    path: Path,
    provider: str,
    options: ort.SessionOptions,
    provider_options: dict[str, str] | None = None,
) -> ort.InferenceSession:
    """Loads a model file on a provider, and on no other.

    Raises:
        ServingError: if it cannot be loaded, or not there.
    """
    try:
        return onnx_session.open_session(
            path, provider, options=options, provider_options=provider_options
        )
    except SessionError as error:
        raise ServingError(
            f"{error}; check the installation of ONNX Runtime, or export the model again"
        ) from error


def check_signature(session: ort.InferenceSession, manifest: Manifest, path: Path) -> None:
    """Compares names, types and the sizes of inputs with the manifest. The sizes of images are seen at warm-up.

    Raises:
        ServingError: if they differ.
    """
    inputs = [(value.name, value.type, _sizes(value.shape)) for value in session.get_inputs()]
    outputs = [(value.name, value.type) for value in session.get_outputs()]
    expected_inputs = [
        (each.name, _TYPES.get(each.dtype), _sizes(each.shape)) for each in manifest.inputs
    ]
    expected_outputs = [(each.name, _TYPES.get(each.dtype)) for each in manifest.outputs]
    if (inputs, outputs) != (expected_inputs, expected_outputs):
        problem = (
            f"takes {inputs} and gives {outputs}, not {expected_inputs} and {expected_outputs}"
        )
        raise ServingError(f"{path} {problem} as its manifest says; export the model again")


def _sizes(shape: Sequence[int | str | None]) -> list[int | None]:
    """A shape without the names of sizes that vary."""
    return [size if isinstance(size, int) else None for size in shape]


def blank(manifest: Manifest, size: int) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Input of zeros for a batch: z [size, d], and label [size] for a conditional model."""
    z = np.zeros((size, manifest.latent_size), dtype=np.float32)
    return z, np.zeros(size, dtype=np.int64) if manifest.classes else None
