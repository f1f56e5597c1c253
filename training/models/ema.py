"""Exponential moving average (EMA) of the generator's weights, which is what a run releases.

Its half-life is `ema_half_life` of the recipe, whose key is `average_images`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dcgan.training import rng
from dcgan.training.models.networks import Generator, cyclic_labels
from dcgan.training.rng import Purpose

# Early in a run the half-life is at most this share of the images seen (StyleGAN2-ADA, Karras et
# al. 2020).
_RAMPUP_RATIO = 0.05

# Batches from which batch-norm statistics are estimated, more if a class would be left out.
_STATISTICS_BATCHES = 16


class EMA:
    """A generator whose weights are a moving average of the trained generator's.

    The running statistics of batch normalization cannot be averaged, because averaged weights have
    statistics of their own. They are estimated when they are needed, from latent vectors that
    depend on the seed alone.

    Args:
        generator: the trained generator, from whose weights the average starts.
        half_life: number of images after which an old weight counts half.
        batch_size: images in a training step, and in each batch for the statistics.
        seed: of the run.

    Attributes:
        generator: the averaged generator.
    """

    def __init__(self, generator: Generator, *, half_life: int, batch_size: int, seed: int) -> None:
        # A distributed run trains with synchronized batch norm; the average has the plain one.
        self.generator = Generator(generator.config)
        self.generator.load_state_dict(generator.state_dict())
        device = next(generator.parameters()).device
        self.generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator.requires_grad_(False)
        self._half_life = half_life
        self._batch_size = batch_size
        self._seed = seed
        self._updates = 0
        self._estimated_for: tuple[int, int] | None = None
        self._latents: list[Tensor] = []

    def update(self, generator: Generator, images_seen: int) -> None:
        """Moves the average towards the generator's weights, after one training step."""
        half_life = min(self._half_life, max(images_seen * _RAMPUP_RATIO, 1.0))
        decay = 0.5 ** (self._batch_size / half_life)

        targets = [weight.detach() for weight in generator.parameters()]
        torch._foreach_lerp_(list(self.generator.parameters()), targets, 1.0 - decay)
        self._updates += 1

    @torch.no_grad()
    def estimate_statistics(self) -> None:
        """Sets batch-norm statistics to the mean of a few batches and switches to eval mode.

        Does nothing if the weights have not changed since the last call.
        """
        version = self._weights_version()
        if self._estimated_for == version:
            return

        # Keep the plain mean over all batches: batch n counts 1 / n. (With momentum None, torch
        # reads n from the device in each layer, which waits for it.)
        norms = [m for m in self.generator.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()

        latents = self._statistics_latents()
        images = len(latents) * self._batch_size
        labels = cyclic_labels(images, self.generator.config.classes, latents[0].device)
        self.generator.train()
        for number, z in enumerate(latents):
            for norm in norms:
                norm.momentum = 1.0 / (number + 1)
            start = number * self._batch_size
            label = None if labels is None else labels[start : start + self._batch_size]
            self.generator(z, label)
        self.generator.eval()
        self._estimated_for = version

    def _statistics_latents(self) -> list[Tensor]:
        """Returns latent vectors, which are always the same, on the device."""
        if not self._latents:
            device = next(self.generator.parameters()).device
            config = self.generator.config
            shape = (self._batch_size, config.latent_size)
            batches = max(_STATISTICS_BATCHES, math.ceil(config.classes / self._batch_size))
            self._latents = [
                rng.normals(self._seed, Purpose.STATISTICS, number, shape).to(device)
                for number in range(batches)
            ]
        return self._latents

    def _weights_version(self) -> tuple[int, int]:
        # Torch counts in-place changes of each tensor, as by a checkpoint that is loaded, but not
        # those of `_foreach_lerp_` in every release (PyTorch 2.11 on CUDA).
        return self._updates, sum(weight._version for weight in self.generator.parameters())
