"""The engine on an NVIDIA GPU.

It was written without one at hand and has not run yet (docs/adr/0004, 0012).

Batches are padded to fixed sizes, each with its session and buffers: ONNX Runtime's CUDA
ConvTranspose builds a new plan whenever the shape changes (microsoft/onnxruntime#23006), and equal
requests must meet equal kernels. The buffers lie on the device and never move, so that a CUDA graph
can be captured around them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CUDA, count_gpus, load_onnxruntime, session_options
from dcgan.core.text import first_line
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.sessions import check_signature, open_session, zero_inputs
from dcgan.serving.errors import ServingError
from dcgan.serving.threads import DaemonThread
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

# ONNX Runtime settles its memory in the first run, captures the graph in the second, and replays it
# from then on.
_RUNS_BEFORE_REPLAY = 2


class CudaEngine:
    """Sessions on the first GPU, one per bucket.

    One thread opens, warms up and runs all of them: ONNX Runtime ties a captured graph to the
    thread that captured it, and no other thread may run the session (onnxruntime.ai, CUDA execution
    provider, "Using CUDA Graphs").
    """

    provider = CUDA

    def __init__(self, path: Path, manifest: Manifest, config: EngineConfig) -> None:
        runtime = load_onnxruntime()
        if CUDA not in runtime.get_available_providers():
            raise ServingError(
                "this ONNX Runtime has no CUDA; install the extra dcgan-zoo[cuda], "
                "or choose --device cpu"
            )
        if count_gpus() == 0:
            raise ServingError("no NVIDIA GPU is usable with CUDA here; choose --device cpu")

        runtime.preload_dlls()
        self.max_batch = config.buckets[-1]
        self._thread = DaemonThread("cuda")
        self._buckets = self._thread.submit(_open_buckets, path, manifest, config).result()

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """See Engine. A graph replay cannot be terminated: it has no layers to stop at."""
        bucket = self._bucket(len(z))
        try:
            return self._thread.submit(bucket.run, z, label, options).result()
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise EngineError(str(error)) from error

    def padding(self, images: int) -> int:
        """Returns the difference to the next bucket."""
        return self._bucket(images).size - images

    def _bucket(self, images: int) -> Bucket:
        return next(bucket for bucket in self._buckets if bucket.size >= images)


class Bucket:
    """A session for one batch size.

    The input is padded with zeros, and the padding images are dropped.

    Args:
        session: of ONNX Runtime.
        manifest: of the model.
        size: number of images in a batch.
        device: device of the buffers, in ONNX Runtime's spelling.
    """

    def __init__(
        self, session: ort.InferenceSession, manifest: Manifest, size: int, device: str = "cuda"
    ) -> None:
        self.size = size
        self._session = session
        self._z, self._label = zero_inputs(manifest, size)

        # Allocate the buffers on the device.
        shape = (size, manifest.image_size, manifest.image_size, manifest.channels)
        ort_value = load_onnxruntime().OrtValue
        self._images = ort_value.ortvalue_from_shape_and_type(shape, np.uint8, device, 0)
        self._inputs = {"z": ort_value.ortvalue_from_numpy(self._z.copy(), device, 0)}
        if self._label is not None:
            self._inputs["label"] = ort_value.ortvalue_from_numpy(self._label.copy(), device, 0)

        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output("images", self._images)

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """Makes a batch of b images, b at most `size`; see Engine."""
        self._fill("z", self._z, z)
        if label is not None and self._label is not None:
            self._fill("label", self._label, label)
        self._session.run_with_iobinding(self._binding, options)
        # Copy: on the CPU, `numpy` returns a view of the buffer that the next batch overwrites.
        images: Pixels = self._images.numpy()[: len(z)].copy()
        return images

    def _fill(self, name: str, padded: NDArray[np.generic], values: NDArray[np.generic]) -> None:
        padded[: len(values)] = values
        padded[len(values) :] = 0  # so that no batch depends on the one before
        self._inputs[name].update_inplace(padded)


def _open_buckets(path: Path, manifest: Manifest, config: EngineConfig) -> list[Bucket]:
    return [_open_bucket(path, manifest, config, size) for size in config.buckets]


def _open_bucket(path: Path, manifest: Manifest, config: EngineConfig, size: int) -> Bucket:
    cuda_options = {"enable_cuda_graph": "1"} if config.cuda_graphs else {}
    session = open_session(path, CUDA, session_options(), cuda_options)
    check_signature(session, manifest, path)

    bucket = Bucket(session, manifest, size)
    try:
        for _ in range(_RUNS_BEFORE_REPLAY + 1):
            bucket.run(*zero_inputs(manifest, size))
    except Exception as error:  # the exceptions of ONNX Runtime have no common base class
        cure = "choose --device cpu, or fewer --batch-buckets"
        if config.cuda_graphs:
            cure = "try --no-cuda-graphs"
        raise ServingError(
            f"{path} does not run on CUDA in batches of {size}: {first_line(error)}; {cure}"
        ) from error
    return bucket
