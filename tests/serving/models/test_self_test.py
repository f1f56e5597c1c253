"""The self-test: golden images alone, among others, and in the recorded batch size."""

import numpy as np
import pytest

from dcgan.core.onnx_session import CPU
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.cpu import CpuEngine
from dcgan.serving.engine.fixed_batch import FixedBatchEngine
from dcgan.serving.errors import ServingError
from dcgan.serving.models.self_test import run_self_test
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release


class AlteredEngine:
    """An engine whose images are changed by a function of the batch."""

    provider = CPU
    batch_size = None

    def __init__(self, engine, alter):
        self._engine = engine
        self._alter = alter
        self.max_batch = engine.max_batch

    def run(self, z, label, options=None):
        return self._alter(self._engine.run(z, label, options).copy())

    def padding(self, images):
        return 0


@pytest.fixture(params=["tiny", "classy"])
def release(repository, request):
    return find_release(repository, request.param)


@pytest.fixture
def file(release):
    return release.manifest.file("onnx", "fp32")


@pytest.fixture
def cpu_engine(release, file):
    return CpuEngine(release.path(file), release.manifest, EngineConfig(max_batch=16))


def test_the_published_bytes_are_exact(release, file, cpu_engine):
    assert run_self_test([cpu_engine, cpu_engine], release, file) is Agreement.EXACT


def test_one_grey_level_is_close(release, file, cpu_engine):
    def brighten(images):
        return np.where(images < 255, images + 1, images).astype(np.uint8)

    engine = AlteredEngine(cpu_engine, brighten)
    assert run_self_test([cpu_engine, engine], release, file) is Agreement.CLOSE


def test_other_images_are_refused(release, file, cpu_engine):
    engine = AlteredEngine(cpu_engine, lambda images: 255 - images)
    with pytest.raises(ServingError, match="does not reproduce its golden images"):
        run_self_test([engine], release, file)


def test_an_engine_whose_images_depend_on_the_batch_is_refused(release, file, cpu_engine):
    def alter(images):
        if len(images) == 16:  # a full batch takes another kernel, as on CUDA
            images[-1, 0, 0, 0] ^= 1
        return images

    with pytest.raises(ServingError, match="shares its batch with others"):
        run_self_test([AlteredEngine(cpu_engine, alter)], release, file)


def test_an_engine_whose_images_depend_on_their_position_is_refused(release, file, cpu_engine):
    def alter(images):
        images[0, 0, 0, 0] ^= 1
        return images

    with pytest.raises(ServingError, match="shares its batch with others"):
        run_self_test([AlteredEngine(cpu_engine, alter)], release, file)


def test_exact_means_the_recorded_batch_size(release, file):
    """The digests of the CPU were published for exact batches, not for this fixed batch size."""
    engine = FixedBatchEngine(
        release.path(file), release.manifest, EngineConfig(cuda_batch_size=16), provider=CPU
    )
    assert run_self_test([engine], release, file) is Agreement.CLOSE
