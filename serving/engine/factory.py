"""The engines of one model: which device, how many, with how many threads; opened and warmed up."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from dcgan.core.onnx_session import CPU, CUDA, available_providers
from dcgan.core.text import first_line
from dcgan.serving.api.errors import ServingError
from dcgan.serving.engine.cpu import (
    CpuEngine,
    Engine,
    EngineConfig,
    EngineError,
    blank,
)
from dcgan.serving.engine.cuda import CudaEngine
from dcgan.zoo.manifest import Manifest

_MOST_INSTANCES = 8  # that are chosen without being asked for; more were not measured


def open_engines(path: Path, manifest: Manifest, config: EngineConfig) -> list[Engine]:
    """Loads a model file for as many threads as there shall be engines, and warms it up.

    On the CPU, engines of one thread are one object, which these threads call at once.

    Raises:
        ServingError: if ONNX Runtime cannot load it, it is not what the manifest says, or the device is not there.
    """
    provider = choose_provider(config.device)
    config = share_processors(config, provider, len(os.sched_getaffinity(0)))
    engines = _load(path, manifest, config, provider)
    for engine in set(engines):
        for size in sorted({1, engine.max_batch}):
            _warm_up(engine, manifest, size, path)
    return engines


def _load(path: Path, manifest: Manifest, config: EngineConfig, provider: str) -> list[Engine]:
    if provider == CUDA:
        return [CudaEngine(path, manifest, config) for _ in range(config.instances)]
    if config.intra_op_threads > 1:
        return [CpuEngine(path, manifest, config) for _ in range(config.instances)]
    # Without threads of its own a session works in those that call it, in all of them at once: they share its weights.
    return [CpuEngine(path, manifest, config)] * config.instances


def share_processors(config: EngineConfig, provider: str, processors: int) -> EngineConfig:
    """Fills in how many engines there are and how many threads each has, where the configuration leaves it open.

    Several engines of one thread do more than one engine of several: nobody waits for the slowest thread of a layer
    (docs/adr/0011).
    """
    instances = config.instances
    if not instances:
        threads = config.intra_op_threads or math.ceil(processors / _MOST_INSTANCES)
        instances = 1 if provider == CUDA else max(1, min(processors // threads, _MOST_INSTANCES))
    threads = config.intra_op_threads or max(1, processors // instances)
    return replace(config, instances=instances, intra_op_threads=threads)


def choose_provider(device: str) -> str:
    """The execution provider for a device, one of DEVICES."""
    if device == "auto":
        device = "cuda" if CUDA in available_providers() else "cpu"
    return CUDA if device == "cuda" else CPU


def _warm_up(engine: Engine, manifest: Manifest, size: int, path: Path) -> None:
    try:
        images = engine.run(*blank(manifest, size))
    except EngineError as error:
        problem = f"{path} does not run on {engine.provider}: {first_line(error)}"
        raise ServingError(
            f"{problem}; check the installation of ONNX Runtime, or export the model again"
        ) from error
    expected = (size, manifest.image_size, manifest.image_size, manifest.channels)
    if images.shape != expected or images.dtype != np.uint8:
        raise ServingError(
            f"{path} makes {images.dtype} {images.shape}, not uint8 {expected}; export it again"
        )
