"""Opens the engines of one model: chooses device, number and threads, and warms them up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from dcgan.core.onnx_session import CPU, CUDA, available_providers
from dcgan.core.processors import processor_limits
from dcgan.core.text import first_line
from dcgan.serving.engine.base import Engine, EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.cpu import CpuEngine
from dcgan.serving.engine.fixed_batch import FixedBatchEngine, check_cuda
from dcgan.serving.engine.sessions import zero_inputs
from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import Manifest

_MAX_DEFAULT_INSTANCES = 8  # more were not measured
_INSTANCES_PER_GPU = 2  # one copies its images to the host while the other computes


def open_engines(
    path: Path,
    manifest: Manifest,
    config: EngineConfig,
    precision: str = "fp32",
    *,
    content: bytes | None = None,
) -> list[Engine]:
    """Loads a model file and warms it up.

    Args:
        path: of the ONNX file.
        manifest: of the model.
        config: of the engines.
        precision: of the file.
        content: of the file, if it is in memory already; else the file is read.

    Returns:
        One engine per instance. On the CPU, engines with a single thread are the same object,
        because a session without threads runs in each thread that calls it, and they share the
        weights.

    Raises:
        ServingError: if ONNX Runtime cannot load the file, the model is not what its manifest says,
            or the device is missing.
    """
    provider = choose_provider(config.device)
    config = share_processors(config, provider, processor_limits().usable)

    engines = _load(path, manifest, config, provider, precision, content=content)
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
            instances = _INSTANCES_PER_GPU * len(config.devices)

    threads = config.intra_op_threads or max(1, processors // instances)
    return replace(config, instances=instances, intra_op_threads=threads)


def choose_provider(device: str) -> str:
    """Returns the execution provider for a device, one of DEVICES."""
    if device == "auto":
        device = "cuda" if CUDA in available_providers() else "cpu"
    return CUDA if device == "cuda" else CPU


def spread(instances: int, devices: tuple[int, ...]) -> list[int]:
    """Returns the GPU of each instance: the GPUs take turns."""
    return [devices[i % len(devices)] for i in range(instances)]


def _load(
    path: Path,
    manifest: Manifest,
    config: EngineConfig,
    provider: str,
    precision: str,
    *,
    content: bytes | None,
) -> list[Engine]:
    if provider == CUDA:
        check_cuda(config.devices)
        return [
            FixedBatchEngine(
                path, manifest, config, device_id=device_id, precision=precision, content=content
            )
            for device_id in spread(config.instances, config.devices)
        ]

    if config.intra_op_threads > 1:
        return [CpuEngine(path, manifest, config, content) for _ in range(config.instances)]
    return [CpuEngine(path, manifest, config, content)] * config.instances


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
