"""The moving average of a generator's weights: steadier pictures than the weights of any one step."""

from __future__ import annotations

import torch

from dcgan.training import rng
from dcgan.training.config import Recipe
from dcgan.training.models.networks import Generator, labels_in_turn
from dcgan.training.rng import Purpose

_RAMP = 0.05  # early on, the half-life is at most this share of the images seen (Karras et al. 2020, StyleGAN2)
_PASSES = 16  # batches that batch normalisation's statistics are estimated from


class Average:
    """A generator whose weights follow those of the trained one.

    Its batch normalisation cannot be averaged: the statistics of averaged weights are not the averages of statistics.
    They are estimated anew, from noise that depends on the seed alone, whenever the generator is to be looked at.
    """

    def __init__(self, generator: Generator, recipe: Recipe, seed: int) -> None:
        self.generator = Generator(
            generator.config
        )  # with plain normalisation, where the trained one has that of a team
        self.generator.load_state_dict(generator.state_dict())
        device = next(generator.parameters()).device
        self.generator.to(device, memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
        self._recipe = recipe
        self._seed = seed
        self._estimated = False  # for the weights as they are now

    def follow(self, generator: Generator, images_seen: int) -> None:
        """Moves the average towards the generator's weights, after one step."""
        half_life = min(self._recipe.average_images, max(images_seen * _RAMP, 1.0))
        keep = 0.5 ** (self._recipe.batch_size / half_life)
        targets = [weight.detach() for weight in generator.parameters()]
        self._estimated = False
        torch._foreach_lerp_(list(self.generator.parameters()), targets, 1.0 - keep)

    def forget(self) -> None:
        """Tells that the weights were changed from outside: the statistics are those of others."""
        self._estimated = False

    @torch.no_grad()
    def estimate_statistics(self) -> None:
        """Gives batch normalisation the mean statistics of a few batches, and freezes them (eval mode)."""
        if self._estimated:
            return
        norms = [
            module
            for module in self.generator.modules()
            if isinstance(module, torch.nn.BatchNorm2d)
        ]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean of all batches
        self.generator.train()
        shape = (self._recipe.batch_size, self._recipe.generator.latent_size)
        device = next(self.generator.parameters()).device
        label = labels_in_turn(shape[0], self._recipe.generator.classes, device)
        for number in range(_PASSES):
            self.generator(
                rng.normals(self._seed, Purpose.STATISTICS, number, shape).to(device), label
            )
        self.generator.eval()
        self._estimated = True
