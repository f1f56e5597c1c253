"""The hint for runs that take very long on a CPU."""

from dataclasses import replace

from dcgan.training.models.network_config import DiscriminatorConfig, GeneratorConfig
from dcgan.training.monitor.estimate import (
    LONG_RUN_SECONDS,
    discriminator_cost,
    generator_cost,
    long_run_hint,
)
from dcgan.training.recipe_files import load_recipe


def test_the_cost_of_the_seed_networks_is_known():
    assert round(generator_cost(GeneratorConfig()) / 1e6, 1) == 104.6
    assert round(discriminator_cost(DiscriminatorConfig()) / 1e6, 1) == 103.8


def test_the_cost_of_a_discriminator_is_that_of_all_its_layers():
    """3x3 layers: 1,728 weights at 32x32, 147,456 at 16x16, 589,824 at 8x8, 2,359,296 at 4x4."""
    config = DiscriminatorConfig(image_size=32, depth=2)
    hidden = 1728 * 32**2 + 147_456 * 16**2 + 589_824 * 8**2 + 2_359_296 * 4**2
    halving = 131_072 * 16**2 + 524_288 * 8**2 + 2_097_152 * 4**2
    assert discriminator_cost(config) == hidden + halving + 8192


def test_a_long_run_on_a_cpu_gets_a_hint_to_shorter_ones(configure):
    config = replace(configure(steps=10_000), recipe=load_recipe("dcgan64"))
    config = replace(config, data=replace(config.data, images=2_000))
    hint = long_run_hint(config, 61_452)
    assert hint.startswith("on this CPU the run takes about 17 h 4 min; shorter: --recipe dcgan64-")
    assert "--set generator.width=16 --set discriminator.width=16 in about 1 h" in hint


def test_short_runs_and_gpus_get_none(configure):
    config = configure()
    assert long_run_hint(config, LONG_RUN_SECONDS - 1) is None
    assert long_run_hint(replace(config, device="cuda"), 1e6) is None


def test_no_recipe_is_recommended_whose_batches_the_images_do_not_fill(configure):
    hint = long_run_hint(replace(configure(steps=10), recipe=load_recipe("digits")), 1e6)
    assert "dcgan64-tiny" not in hint  # batches of 32, and 20 images
    assert "--set generator.width=" in hint
