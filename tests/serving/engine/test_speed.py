"""The measured throughput, and the queue that follows from it."""

import itertools
import math
import threading

import numpy as np
import pytest

from dcgan.core.onnx_session import CPU, CUDA
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.speed import measure_throughput
from dcgan.serving.models.config import DEFAULT_QUEUE_IMAGES
from dcgan.serving.models.loader import default_queue_images
from dcgan.zoo.repository import find_release


class CountingEngine:
    """Makes black images and counts them."""

    def __init__(self, provider=CUDA, max_batch=8):
        self.provider = provider
        self.max_batch = max_batch
        self.batch_size = max_batch
        self.images = 0

    def run(self, z, label, options=None):
        self.images += len(z)
        return np.zeros((len(z), 1, 1, 3), dtype=np.uint8)


@pytest.fixture
def manifest(repository):
    return find_release(repository, "tiny").manifest


def test_the_images_of_all_engines_count(manifest):
    lock = threading.Lock()
    ticks = itertools.count()

    def clock():
        with lock:
            return next(ticks) / 1000  # each look at the clock takes a millisecond

    engines = [CountingEngine(), CountingEngine(max_batch=32)]
    rate = measure_throughput(engines, manifest, clock)
    made = sum(engine.images for engine in engines)
    seconds = (next(ticks) - 1) / 1000
    assert made > 0
    assert rate == pytest.approx(made / seconds)


def test_a_failing_engine_is_an_error(manifest):
    engine = CountingEngine()
    engine.run = lambda *_: (_ for _ in ()).throw(EngineError("no"))
    with pytest.raises(EngineError):
        measure_throughput([engine], manifest)


def test_the_queue_of_a_cpu_has_a_fixed_capacity(manifest):
    engine = CountingEngine(provider=CPU)
    assert default_queue_images([engine], manifest) == DEFAULT_QUEUE_IMAGES
    assert engine.images == 0


@pytest.mark.parametrize("rate", [100.0, 250_000.5])
def test_the_queue_of_a_gpu_holds_a_second_of_work(manifest, monkeypatch, rate):
    monkeypatch.setattr("dcgan.serving.models.loader.measure_throughput", lambda *_: rate)
    capacity = default_queue_images([CountingEngine()], manifest)
    assert capacity == max(DEFAULT_QUEUE_IMAGES, math.ceil(rate))
