"""Configuration of the engines."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.core.onnx_session import DEFAULT_CUDA_BATCH_SIZE

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How the engines of each model run.

    Attributes:
        device: one of DEVICES; auto takes CUDA where there is a GPU.
        instances: engines of each model, each with a thread; 0 for one per processor, at most 8, or
            two per GPU on CUDA.
        intra_op_threads: threads of one session on the CPU; 0 for an equal share of the processors.
        spinning: whether idle threads of a session spin, which costs the other threads processor
            time.
        max_batch: maximum number of images in a batch on the CPU.
        cuda_batch_size: images in every batch on CUDA, which is padded to it. Part of what an image
            is there: two batch sizes are two functions.
        cuda_graphs: whether batches are replayed as a CUDA graph, where it can be captured.
        devices: numbers of the GPUs that the instances take turns on.
    """

    device: str = "auto"
    instances: int = 0
    intra_op_threads: int = 0
    spinning: bool = False
    max_batch: int = 16
    cuda_batch_size: int = DEFAULT_CUDA_BATCH_SIZE
    cuda_graphs: bool = True
    devices: tuple[int, ...] = (0,)
