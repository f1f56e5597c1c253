"""The engine on the CPU.

Every batch has exactly the requested size: the cost is linear in it, and the images do not
depend on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.onnx_session import CPU, session_options
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.sessions import check_signature, open_session
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort


class CpuEngine:
    """One session for every batch size up to the maximum; several threads may call it.

    Args:
        path: of the ONNX file.
        manifest: of the model.
        config: of the engines.
        content: of the file, if it is in memory already.
    """

    provider = CPU
    batch_size: int | None = None  # the pixels do not depend on it

    def __init__(
        self, path: Path, manifest: Manifest, config: EngineConfig, content: bytes | None = None
    ) -> None:
        options = session_options(
            intra_op_threads=config.intra_op_threads, spinning=config.spinning
        )
        self.max_batch = config.max_batch
        self._session = open_session(path, CPU, options, content=content)
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
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise EngineError(str(error)) from error
        return images

    def padding(self, images: int) -> int:  # noqa: ARG002
        """Returns 0: batches are exact."""
        return 0
