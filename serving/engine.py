"""ONNX Runtime around one model file: latent vectors in, images out. Called by one thread at a time.

On the CPU every batch has exactly the size that is asked for: cost is linear in it and the result does not depend on
it. On CUDA batches are padded to fixed sizes, each with a session and buffers of its own, because ONNX Runtime's CUDA
ConvTranspose plans anew whenever the shape changes (microsoft/onnxruntime#23006), and so that equal requests meet
equal kernels.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import Manifest
from dcgan.zoo.picture import Pixels
from dcgan.zoo.processor import CUDA_OPTIONS

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
DEVICES = ("auto", "cpu", "cuda")

_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}
_FATAL = 4  # of ONNX Runtime's log levels: what goes wrong is raised, and is logged by us


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How engines run.

    Attributes:
        device: one of DEVICES; auto takes CUDA where there is a GPU.
        intra_op_threads: threads of one session on the CPU; 0 for one on each processor.
        spinning: whether these threads spin while they wait, which takes processor time from everyone else.
        max_batch: most images in a batch on the CPU.
        buckets: batch sizes on CUDA, rising.
    """

    device: str = "auto"
    intra_op_threads: int = 0
    spinning: bool = False
    max_batch: int = 32
    buckets: tuple[int, ...] = (1, 8, 64, 256)


class Engine(Protocol):
    """What makes images."""

    provider: str
    max_batch: int

    def run(self, z: NDArray[np.float32], label: NDArray[np.int64] | None) -> Pixels:
        """Makes the images of z [b, d] and label [b], b at most max_batch, as uint8 [b, H, W, C].

        Raises:
            EngineError: if ONNX Runtime fails.
        """

    def padding(self, images: int) -> int:
        """How many images are made in vain beside that many."""

    def abort(self) -> None:
        """Has a run that is under way fail at its next layer. Called by another thread."""


class EngineError(Exception):
    """A batch that could not be made."""


def open_engine(path: Path, manifest: Manifest, config: EngineConfig) -> Engine:
    """Loads a model file and warms it up.

    Raises:
        ServingError: if ONNX Runtime cannot load it, it is not what the manifest says, or the device is not there.
    """
    ort.set_default_logger_severity(_FATAL)
    kind = CudaEngine if choose_provider(config.device) == CUDA else CpuEngine
    engine = kind(path, manifest, config)
    for size in sorted({1, engine.max_batch}):
        _warm_up(engine, manifest, size, path)
    return engine


def _warm_up(engine: Engine, manifest: Manifest, size: int, path: Path) -> None:
    try:
        images = engine.run(*_blank(manifest, size))
    except EngineError as error:
        raise ServingError(f"{path} does not run on {engine.provider}: {_first_line(error)}") from error
    expected = (size, manifest.image_size, manifest.image_size, manifest.channels)
    if images.shape != expected or images.dtype != np.uint8:
        raise ServingError(f"{path} makes {images.dtype} {images.shape}, not uint8 {expected}; export it again")


def choose_provider(device: str) -> str:
    """The execution provider for a device, one of DEVICES."""
    if device == "auto":
        device = "cuda" if CUDA in ort.get_available_providers() and _count_gpus() > 0 else "cpu"
    return CUDA if device == "cuda" else CPU


class CpuEngine:
    """One session on the CPU, for any batch size up to the largest."""

    provider = CPU

    def __init__(self, path: Path, manifest: Manifest, config: EngineConfig) -> None:
        options = _session_options()
        options.intra_op_num_threads = config.intra_op_threads or len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(config.spinning)))
        self.max_batch = config.max_batch
        self._session = _open_session(path, options, [CPU])
        self._under_way = ort.RunOptions()
        _check_signature(self._session, manifest, path)

    def run(self, z: NDArray[np.float32], label: NDArray[np.int64] | None) -> Pixels:
        """See Engine."""
        feeds = {"z": z} if label is None else {"z": z, "label": label}
        self._under_way = ort.RunOptions()
        try:
            images: Pixels = self._session.run(["images"], feeds, self._under_way)[0]
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise EngineError(str(error)) from error
        return images

    def padding(self, images: int) -> int:  # noqa: ARG002
        """None: batches are exact."""
        return 0

    def abort(self) -> None:
        """See Engine."""
        self._under_way.terminate = True


class CudaEngine:
    """Sessions on the first GPU, one for each bucket, with buffers that stay where they are."""

    provider = CUDA

    def __init__(self, path: Path, manifest: Manifest, config: EngineConfig) -> None:
        if CUDA not in ort.get_available_providers():
            raise ServingError(
                "this ONNX Runtime has no CUDA; install the extra dcgan-zoo[cuda], or choose --device cpu"
            )
        if _count_gpus() == 0:
            raise ServingError("there is no NVIDIA GPU here that CUDA can use; choose --device cpu")
        ort.preload_dlls()
        self._buckets = [_Bucket(path, manifest, size) for size in config.buckets]
        self.max_batch = config.buckets[-1]

    def run(self, z: NDArray[np.float32], label: NDArray[np.int64] | None) -> Pixels:
        """See Engine."""
        try:
            return self._bucket(len(z)).run(z, label)
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise EngineError(str(error)) from error

    def padding(self, images: int) -> int:
        """What is missing to the next bucket."""
        return self._bucket(images).size - images

    def abort(self) -> None:
        """See Engine."""
        for bucket in self._buckets:
            bucket.under_way.terminate = True

    def _bucket(self, images: int) -> _Bucket:
        return next(bucket for bucket in self._buckets if bucket.size >= images)


class _Bucket:
    """A session for one batch size. Input is padded with zeros; the images of the padding are dropped."""

    def __init__(self, path: Path, manifest: Manifest, size: int) -> None:
        options = _session_options()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # Without fallback a session that cannot have CUDA is an error, not a slow session on the CPU.
        provider = (CUDA, CUDA_OPTIONS)
        self.size = size
        self.under_way = ort.RunOptions()
        self._session = _open_session(path, options, [provider])
        _check_signature(self._session, manifest, path)
        self._z, self._label = _blank(manifest, size)
        self.run(self._z, self._label)

    def run(self, z: NDArray[np.float32], label: NDArray[np.int64] | None) -> Pixels:
        self._z[: len(z)] = z
        self._z[len(z) :] = 0  # so that a batch does not depend on the one before
        binding = self._session.io_binding()
        binding.bind_cpu_input("z", self._z)
        if label is not None and self._label is not None:
            self._label[: len(label)] = label
            binding.bind_cpu_input("label", self._label)
        binding.bind_output("images", "cpu")
        self.under_way = ort.RunOptions()
        self._session.run_with_iobinding(binding, self.under_way)
        images: Pixels = binding.copy_outputs_to_cpu()[0]
        return images[: len(z)]


def _session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.inter_op_num_threads = 1
    return options


def _open_session(
    path: Path, options: ort.SessionOptions, providers: list[str | tuple[str, dict[str, str]]]
) -> ort.InferenceSession:
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    try:
        session = ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise ServingError(f"ONNX Runtime cannot load {path} on {wanted}: {_first_line(error)}") from error
    if session.get_providers()[0] != wanted:
        raise ServingError(f"ONNX Runtime gave {session.get_providers()[0]} for {path}, not {wanted}; mend its install")
    return session


def _check_signature(session: ort.InferenceSession, manifest: Manifest, path: Path) -> None:
    """Compares names, types and the sizes of inputs with the manifest. The sizes of images are seen at warm-up."""
    inputs = [(value.name, value.type, _sizes(value.shape)) for value in session.get_inputs()]
    outputs = [(value.name, value.type) for value in session.get_outputs()]
    expected_inputs = [(each.name, _TYPES.get(each.dtype), _sizes(each.shape)) for each in manifest.inputs]
    expected_outputs = [(each.name, _TYPES.get(each.dtype)) for each in manifest.outputs]
    if (inputs, outputs) != (expected_inputs, expected_outputs):
        problem = f"takes {inputs} and gives {outputs}, not {expected_inputs} and {expected_outputs}"
        raise ServingError(f"{path} {problem} as its manifest says; export the model again")


def _sizes(shape: Sequence[int | str | None]) -> list[int | None]:
    """A shape without the names of sizes that vary."""
    return [size if isinstance(size, int) else None for size in shape]


def _blank(manifest: Manifest, size: int) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    z = np.zeros((size, manifest.latent_size), dtype=np.float32)
    return z, np.zeros(size, dtype=np.int64) if manifest.classes else None


def _count_gpus() -> int:
    """GPUs that the CUDA driver offers to this process; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if ready else 0


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
