"""A model that is loaded and served as on CUDA: padded batches of one size, two engines."""

import asyncio

import numpy as np
import pytest

from dcgan.core import noise
from dcgan.core.onnx_session import CUDA
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.demand import Demand
from dcgan.serving.scheduling.image_job import Latents
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release
from tests.core.fake_cuda import FakeDriver
from tests.serving.cuda_on_cpu import run_cuda_on_cpu


@pytest.mark.parametrize("graphs", [True, False])
async def test_images_do_not_depend_on_what_shares_a_padded_batch(
    repository, monkeypatch, expected, graphs
):
    opened = run_cuda_on_cpu(monkeypatch, FakeDriver())
    release = find_release(repository, "tiny")
    config = EngineConfig(device="cuda", cuda_batch_size=16, cuda_graphs=graphs)
    model = await load_model(release, config, ModelConfig(), Metrics())

    # Two engines; agreement only within a level, for no digest was published for this size.
    assert ["enable_cuda_graph" in options for options in opened] == [graphs] * 2
    assert (model.provider, model.batch_size, model.agreement) == (CUDA, 16, Agreement.CLOSE)

    # Requests of many sizes run at once, in batches that they share.
    async def generate(seed: int, n: int) -> np.ndarray:
        demand = Demand(images=n, request_images=n, arrived=0.0)
        latents = Latents(noise.latents(seed, 0, n, 8))
        images = await model.dispatcher.submit(demand, lambda: latents)
        return np.concatenate(images.parts)

    sizes = [1 + 7 * i % 37 for i in range(40)]
    made = await asyncio.gather(*(generate(seed, n) for seed, n in enumerate(sizes)))
    for seed, (n, images) in enumerate(zip(sizes, made, strict=True)):
        np.testing.assert_array_equal(images, expected("tiny", seed, range(n)))
    await model.dispatcher.stop()
