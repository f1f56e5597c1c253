"""A hint for runs that would take very long on a CPU."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from dcgan.training.config import Recipe
from dcgan.training.models.network_config import (
    DiscriminatorConfig,
    GeneratorConfig,
    discriminator_layers,
)
from dcgan.training.monitor.progress import format_duration
from dcgan.training.recipe_files import load_recipe
from dcgan.training.run_config import RunConfig

# Runs that are estimated to take longer get a hint to something that is shorter.
LONG_RUN_SECONDS = 8 * 3600.0

_SMALL_RECIPE = "dcgan64-tiny"

# Passes through each network in a step, a backward pass counted as two: G forward and backward, and
# D forward and backward on real and generated images, then through D to G.
_GENERATOR_PASSES = 3
_DISCRIMINATOR_PASSES = 8


def long_run_hint(config: RunConfig, seconds: float) -> str | None:
    """Returns a sentence with faster settings for a run that takes very long on a CPU.

    The times are proportional to the multiply-adds, so they are rough.

    Args:
        config: of the run.
        seconds: estimated time of the whole run.
    """
    if config.device != "cpu" or seconds < LONG_RUN_SECONDS:
        return None

    options = []
    recipe = config.recipe
    seconds_per_cost = seconds / (config.steps * recipe.batch_size * step_cost(recipe))
    small = load_recipe(_SMALL_RECIPE)
    for option, other, steps in (
        (f"--recipe {_SMALL_RECIPE}", small, _recipe_steps(small, config)),
        (_width_option(recipe), _narrowed(recipe), config.steps),
    ):
        estimate = seconds_per_cost * steps * other.batch_size * step_cost(other)
        if 0 < estimate < seconds / 2:
            options.append(f"{option} in about {format_duration(estimate)}")

    text = f"on this CPU the run takes about {format_duration(seconds)}"
    if options:
        text += f"; shorter: {', or '.join(options)}"
    return text + "; a GPU is much faster"


def step_cost(recipe: Recipe) -> float:
    """Returns the multiply-adds of a training step for one image."""
    generator = _GENERATOR_PASSES * generator_cost(recipe.generator)
    discriminator = _DISCRIMINATOR_PASSES * discriminator_cost(recipe.discriminator)
    return generator + discriminator


def generator_cost(config: GeneratorConfig) -> float:
    """Returns the multiply-adds of a generator's convolutions for one image."""
    sides = _sides(config.image_size)  # 4, 8, ... up to half of the image
    widths = [config.width * 2**i for i in reversed(range(len(sides)))]
    cost: float = 16 * config.latent_size * widths[0]
    for side, (inputs, outputs) in zip(sides, pairwise([*widths, config.channels]), strict=True):
        cost += 16 * side**2 * inputs * outputs
    return cost


def discriminator_cost(config: DiscriminatorConfig) -> float:
    """Returns the multiply-adds of a discriminator's convolutions for one image."""
    layers = discriminator_layers(config)
    cost: float = 16 * layers[-1].channels_out
    for layer in layers:
        cost += (layer.kernel * layer.side) ** 2 * layer.channels_in * layer.channels_out
    return cost


def _sides(image_size: int) -> list[int]:
    sides = [4]
    while sides[-1] < image_size // 2:
        sides.append(sides[-1] * 2)
    return sides


def _recipe_steps(recipe: Recipe, config: RunConfig) -> int:
    return recipe.epochs * recipe.steps_per_epoch(config.data.images)


def _narrowed(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        generator=replace(recipe.generator, width=max(1, recipe.generator.width // 4)),
        discriminator=replace(recipe.discriminator, width=max(1, recipe.discriminator.width // 4)),
    )


def _width_option(recipe: Recipe) -> str:
    narrow = _narrowed(recipe)
    return (
        f"--set generator.width={narrow.generator.width} "
        f"--set discriminator.width={narrow.discriminator.width}"
    )
