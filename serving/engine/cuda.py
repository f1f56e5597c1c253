"""The engine on an NVIDIA GPU. Written with care, and not run yet: no GPU was at hand (docs/adr/0004, 0012).

Batches are padded to fixed sizes, each with a session and buffers of its own, because ONNX Runtime's CUDA
ConvTranspose plans anew whenever the shape changes (microsoft/onnxruntime#23006), and so that equal requests meet
equal kernels. The buffers lie on the device and never move, so that a CUDA graph may be captured around them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CUDA, count_gpus, load_onnxruntime, session_options
from dcgan.core.text import first_line
from dcgan.serving.api.errors import ServingError
from dcgan.serving.engine.cpu import (
    EngineConfig,
    EngineError,
    blank,
    check_signature,
    open_session,
)
from dcgan.serving.threads import DaemonThread
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

_RUNS_BEFORE_REPLAY = (
    2  # ONNX Runtime runs once to settle its memory, captures the second run, and replays then
)


class CudaEngine:
    """Sessions on the first GPU, one for each bucket.

    All of them are opened, warmed up and run by one thread: ONNX Runtime keeps a captured graph with the thread that
    captured it, and allows no other to run the session (onnxruntime.ai, CUDA execution provider, "Using CUDA Graphs").
    """

    provider = CUDA

    def __init__(self, path: Path, manifest: Manifest, config: EngineConfig) -> None:
        runtime = load_onnxruntime()
        if CUDA not in runtime.get_available_providers():
            raise ServingError(
                "this ONNX Runtime has no CUDA; install the extra dcgan-zoo[cuda], or choose --device cpu"
            )
        if count_gpus() == 0:
            raise ServingError("there is no NVIDIA GPU here that CUDA can use; choose --device cpu")
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
        """See Engine. A graph that is being replayed has no layers to stop at."""
        try:
            return self._thread.submit(self._bucket(len(z)).run, z, label, options).result()
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise EngineError(str(error)) from error

    def padding(self, images: int) -> int:
        """What is missing to the next bucket."""
        return self._bucket(images).size - images

    def _bucket(self, images: int) -> Bucket:
        return next(bucket for bucket in self._buckets if bucket.size >= images)


class Bucket:
    """A session for one batch size. Input is padded with zeros; the images of the padding are dropped.

    Args:
        session: of ONNX Runtime.
        manifest: of the model.
        size: images in a batch.
        device: where the buffers lie, as ONNX Runtime calls it.
    """

    def __init__(
        self, session: ort.InferenceSession, manifest: Manifest, size: int, device: str = "cuda"
    ) -> None:
        self.size = size
        self._session = session
        self._z, self._label = blank(manifest, size)
        shape = (size, manifest.image_size, manifest.image_size, manifest.channels)
        values = load_onnxruntime().OrtValue
        self._images = values.ortvalue_from_shape_and_type(shape, np.uint8, device, 0)
        self._inputs = {"z": values.ortvalue_from_numpy(self._z.copy(), device, 0)}
        if self._label is not None:
            self._inputs["label"] = values.ortvalue_from_numpy(self._label.copy(), device, 0)
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
        """Makes the images of z [b, d] and label [b], b at most `size`, as uint8 [b, H, W, C]."""
        self._fill("z", self._z, z)
        if label is not None and self._label is not None:
            self._fill("label", self._label, label)
        self._session.run_with_iobinding(self._binding, options)
        # A copy, on the CPU too, where `numpy` is a view of the buffer that the next batch writes to.
        images: Pixels = self._images.numpy()[: len(z)].copy()
        return images

    def _fill(self, name: str, whole: NDArray[np.generic], part: NDArray[np.generic]) -> None:
        whole[: len(part)] = part
        whole[len(part) :] = 0  # so that a batch does not depend on the one before
        self._inputs[name].update_inplace(whole)


def _open_buckets(path: Path, manifest: Manifest, config: EngineConfig) -> list[Bucket]:
    buckets = []
    for size in config.buckets:
        options = session_options()
        graphs = {"enable_cuda_graph": "1"} if config.cuda_graphs else {}
        session = open_session(path, CUDA, options, graphs)
        check_signature(session, manifest, path)
        buckets.append(Bucket(session, manifest, size))
        try:
            for _ in range(_RUNS_BEFORE_REPLAY + 1):
                buckets[-1].run(*blank(manifest, size))
        except Exception as error:  # onnxruntime's own exceptions have no common base
            cure = (
                "try --no-cuda-graphs"
                if config.cuda_graphs
                else "choose --device cpu, or fewer --batch-buckets"
            )
            raise ServingError(
                f"{path} does not run on CUDA in batches of {size}: {first_line(error)}; {cure}"
            ) from error
    return buckets
