"""Configuration of the engines."""

from __future__ import annotations

from dataclasses import dataclass

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How the engines of each model run.

    Attributes:
        device: one of DEVICES; auto takes CUDA where there is a GPU.
        instances: engines of each model, each with a thread; 0 for one per processor, at most 8, or
            one on CUDA.
        intra_op_threads: threads of one session on the CPU; 0 for an equal share of the processors.
        spinning: whether idle threads of a session spin, which costs the other threads processor
            time.
        max_batch: maximum number of images in a batch on the CPU.
        buckets: batch sizes on CUDA, ascending.
        cuda_graphs: whether each bucket is captured as a CUDA graph and replayed.
    """

    device: str = "auto"
    instances: int = 0
    intra_op_threads: int = 0
    spinning: bool = False
    max_batch: int = 16
    buckets: tuple[int, ...] = (1, 8, 64, 256)
    cuda_graphs: bool = False
