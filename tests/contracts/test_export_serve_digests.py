"""What the exporter computes is, byte for byte, what the server computes on the same provider."""

import pytest
import torch

from dcgan.core.origin import Training
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.observability.metrics import Metrics
from dcgan.training.models.networks import Generator, GeneratorConfig, init_weights
from dcgan.training.run_folder import Run
from dcgan.zoo.golden import Agreement
from dcgan.zoo.release import Release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A small model in float32 and float16, exported for CUDA."""
    generator = Generator(GeneratorConfig(image_size=32, latent_size=10, width=8))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        init_weights(generator)
    training = Training(
        recipe="digits", data="digits", data_sha256="0" * 64, images_seen=640, seed=1, hardware="-"
    )
    run = Run(generator=generator.eval(), training=training, class_names=(), description="Noise")
    options = ExportOptions(
        name="small", version=1, formats=("onnx",), fp16=True, target="cuda", description="Noise"
    )
    return export(run, tmp_path_factory.mktemp("models"), options, lambda _: None)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
async def test_the_server_reproduces_the_golden_digests_of_the_exporter(
    release: Release, device: str, precision: str
):
    config = ModelConfig(precision=precision)
    model = await load_model(release, EngineConfig(device=device), config, Metrics())
    await model.dispatcher.stop()
    assert model.agreement is Agreement.EXACT
