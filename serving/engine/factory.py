"""Opens the engines of one model: chooses device, number and threads, and warms them up."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from dcgan.core.onnx_session import CPU, CUDA, available_providers
from dcgan.core.text import first_line
from dcgan.serving.engine.base import Engine, EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.cpu import CpuEngine
from dcgan.serving.engine.cuda import CudaEngine
from dcgan.serving.engine.sessions import zero_inputs
from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import Manifest

_MAX_DEFAULT_INSTANCES = 8  # more were not measured


def open_engines(path: Path, manifest: Manifest, config: EngineConfig) -> list[Engine]:
    """Loads a model file and warms it up.

    Returns:
        One engine per instance. On the CPU, engines with a single thread are the same object,
        because a session without threads runs in each thread that calls it, and they share the
        weights.

    Raises:
        ServingError: if ONNX Runtime cannot load the file, the model is not what its manifest says,
            or the device is missing.
    """
    provider = choose_provider(config.device)
    config = share_processors(config, provider, len(os.sched_getaffinity(0)))
    engines = _load(path, manifest, config, provider)
    for engine in set(engines):
        for batch in sorted({1, engine.max_batch}):
            _warm_up(engine, manifest, batch, path)
    return engines


def share_processors(config: EngineConfig, provider: str, processors: int) -> EngineConfig:
    """Fills in the number of engines and of their threads where the configuration has none.

    Several engines of one thread have a higher throughput than one engine of several threads, which
    waits for its slowest thread in each layer (docs/adr/0011).
    """
    instances = config.instances
    if not instances:
        threads = config.intra_op_threads or math.ceil(processors / _MAX_DEFAULT_INSTANCES)
        instances = max(1, min(processors // threads, _MAX_DEFAULT_INSTANCES))
        if provider == CUDA:
            instances = 1
    threads = config.intra_op_threads or max(1, processors // instances)
    return replace(config, instances=instances, intra_op_threads=threads)


def choose_provider(device: str) -> str:
    """Returns the execution provider for a device, one of DEVICES."""
    if device == "auto":
        device = "cuda" if CUDA in available_providers() else "cpu"
    return CUDA if device == "cuda" else CPU


def _load(path: Path, manifest: Manifest, config: EngineConfig, provider: str) -> list[Engine]:
    if provider == CUDA:
        return [CudaEngine(path, manifest, config) for _ in range(config.instances)]
    if config.intra_op_threads > 1:
        return [CpuEngine(path, manifest, config) for _ in range(config.instances)]
    return [CpuEngine(path, manifest, config)] * config.instances


def _warm_up(engine: Engine, manifest: Manifest, batch: int, path: Path) -> None:
    try:
        images = engine.run(*zero_inputs(manifest, batch))
    except EngineError as error:
        problem = f"{path} does not run on {engine.provider}: {first_line(error)}"
        raise ServingError(
            f"{problem}; check the installation of ONNX Runtime, or export the model again"
        ) from error

    expected = (batch, manifest.image_size, manifest.image_size, manifest.channels)
    if images.shape != expected or images.dtype != np.uint8:
        raise ServingError(
            f"{path} returns {images.dtype} {images.shape}, not uint8 {expected}; export it again"
        )
