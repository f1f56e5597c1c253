"""The engine that runs a model in one fixed batch size: on CUDA, and on the CPU in tests."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.cuda_driver import CudaDriverError, PinnedTransfer, count_gpus
from dcgan.core.fixed_batch import BatchShape, FixedBatchSession, TransferError
from dcgan.core.images import Pixels
from dcgan.core.onnx_session import (
    CUDA,
    cuda_options,
    load_onnxruntime,
    session_options,
)
from dcgan.core.text import first_line
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.sessions import check_signature, open_session
from dcgan.serving.errors import ServingError
from dcgan.serving.threads import DaemonThread
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

# ONNX Runtime settles its memory in the first run, captures the graph in the second, and replays it
# from then on.
_WARM_UP_RUNS = 3

logger = logging.getLogger(__name__)


class FixedBatchEngine:
    """Runs every batch in the same padded shape, so that no image depends on the rest of its batch.

    One thread opens, warms up and runs the session: ONNX Runtime ties a captured CUDA graph to the
    thread that captured it, and no other thread may run the session (onnxruntime.ai, CUDA execution
    provider, "Using CUDA Graphs"). Several instances overlap: while one copies its images to the
    host, another computes.

    Args:
        path: of the ONNX file.
        manifest: of the model.
        config: of the engines.
        provider: execution provider; CUDA, except in tests.
        device_id: number of the GPU.
        precision: of the file, e.g. "fp16", which decides the layout that CUDA prefers.
        content: of the file, if it is in memory already.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        config: EngineConfig,
        *,
        provider: str = CUDA,
        device_id: int = 0,
        precision: str = "fp32",
        content: bytes | None = None,
    ) -> None:
        self.provider = provider
        self.batch_size = config.cuda_batch_size
        self.max_batch = config.cuda_batch_size
        self._path = path
        self._manifest = manifest
        self._device_id = device_id
        self._precision = precision

        self._thread = DaemonThread(f"fixed-batch-{device_id}")
        self._session = self._thread.submit(self._open, content, graphs=config.cuda_graphs).result()

    def run(
        self,
        z: NDArray[np.float32],
        label: NDArray[np.int64] | None,
        options: ort.RunOptions | None = None,
    ) -> Pixels:
        """See Engine. A graph replay cannot be terminated: it has no layers to stop at."""
        try:
            return self._thread.submit(self._session.run, z, label, options).result()
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise EngineError(str(error)) from error

    def padding(self, images: int) -> int:
        """Returns the number of images that are missing to a full batch."""
        return self.batch_size - images

    def _open(self, content: bytes | None, *, graphs: bool) -> FixedBatchSession:
        if not graphs or self.provider != CUDA:
            return self._open_session(content, graphs=False)
        try:
            return self._open_session(content, graphs=True)
        except ServingError as error:
            logger.warning("no CUDA graph for %s: %s", self._path.name, error)
            return self._open_session(content, graphs=False)

    def _open_session(self, content: bytes | None, *, graphs: bool) -> FixedBatchSession:
        manifest = self._manifest
        on_cuda = self.provider == CUDA
        options = cuda_options(self._precision, self._device_id, graphs=graphs) if on_cuda else None
        session = open_session(
            self._path, self.provider, session_options(), options, content=content
        )
        check_signature(session, manifest, self._path)

        shape = BatchShape(
            batch_size=self.batch_size,
            latent_size=manifest.latent_size,
            image=(manifest.image_size, manifest.image_size, manifest.channels),
            has_labels=manifest.classes > 0,
        )
        try:
            fixed = FixedBatchSession(
                session, shape, device="cuda" if on_cuda else "cpu", device_id=self._device_id
            )
            fixed.warm_up(_WARM_UP_RUNS)
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise ServingError(
                f"{self._path} does not run on {self.provider} in batches of {self.batch_size}: "
                f"{first_line(error)}; choose --device cpu, or a smaller --cuda-batch-size"
            ) from error
        if on_cuda:
            self._copy_through_pinned_memory(fixed)
        return fixed

    def _copy_through_pinned_memory(self, fixed: FixedBatchSession) -> None:
        """Lets copies run in parallel with the kernels of other engines, if the driver can."""
        try:
            fixed.use_transfer(PinnedTransfer(self._device_id))
        except (CudaDriverError, TransferError) as error:
            logger.warning(
                "%s: copies are not overlapped with other batches: %s", self._path.name, error
            )


def check_cuda(devices: tuple[int, ...]) -> None:
    """Checks that CUDA is installed and that the GPUs are there, and loads its libraries.

    Raises:
        ServingError: if not.
    """
    runtime = load_onnxruntime()
    if CUDA not in runtime.get_available_providers():
        raise ServingError(
            "this ONNX Runtime has no CUDA; install the extra dcgan-zoo[cuda], "
            "or choose --device cpu"
        )

    gpus = count_gpus()
    if gpus == 0:
        raise ServingError("no NVIDIA GPU is usable with CUDA here; choose --device cpu")
    missing = [device for device in devices if device >= gpus]
    if missing:
        raise ServingError(
            f"there is no GPU {missing[0]}: this machine has {gpus}; choose other --devices"
        )
    runtime.preload_dlls()
