"""One training step: D's phase, then G's. The hot path."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.training.augment import augment
from dcgan.training.config import Adam, Recipe
from dcgan.training.feed import Batch
from dcgan.training.losses import discriminator_loss, generator_loss
from dcgan.training.networks import Discriminator, Generator, initialise

MEASURES = ("loss_D", "loss_G", "score_D", "score_G1", "score_G2")
"""What a step returns: both losses; the mean probability that D gives real images, and generated ones before and after
its update."""


@dataclass(frozen=True, kw_only=True)
class Players:
    """Both networks and their optimizers, on one device, in channels-last order."""

    generator: Generator
    discriminator: Discriminator
    generator_adam: torch.optim.Adam
    discriminator_adam: torch.optim.Adam


def make_players(recipe: Recipe, seed: int, device: torch.device) -> Players:
    """Draws the first weights, on the CPU, so that a seed means the same weights on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, discriminator = Generator(recipe.generator), Discriminator(recipe.discriminator)
        initialise(generator)
        initialise(discriminator)
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Players(
        generator=generator,
        discriminator=discriminator,
        generator_adam=_adam(generator, recipe.generator_adam),
        discriminator_adam=_adam(discriminator, recipe.discriminator_adam),
    )


class Step:
    """Trains two networks by one batch at a time."""

    def __init__(self, recipe: Recipe, players: Players, precision: str) -> None:
        self._recipe = recipe
        self._players = players
        self._bf16 = precision == "bf16"
        self._device = next(players.generator.parameters()).device

    def __call__(self, batch: Batch) -> Tensor:
        """Updates D, then G.

        Returns:
            MEASURES, float32 [5], on the device: reading them waits for the step, so the loop reads many at once.
        """
        fake, of_discriminator = self._train_discriminator(batch)
        of_generator = self._train_generator(batch, fake)
        (loss_d, score_d, score_g1), (loss_g, score_g2) = of_discriminator, of_generator
        return torch.stack([loss_d, loss_g, score_d, score_g1, score_g2])

    def _train_discriminator(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        players = self._players
        with self._autocast():
            fake = players.generator(batch.z, batch.label)
            logits_real = self._judge(batch.real, batch.label, batch.augment[0])
            logits_fake = self._judge(fake.detach(), batch.label, batch.augment[1])
        loss = discriminator_loss(self._recipe.loss, logits_real, logits_fake)
        objective = loss + self._penalties(batch, fake)
        players.discriminator_adam.zero_grad()
        torch.autograd.backward(objective)
        players.discriminator_adam.step()
        return fake, (loss.detach(), _score(logits_real), _score(logits_fake))

    def _train_generator(self, batch: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        players = self._players
        players.discriminator.requires_grad_(False)  # G's gradient passes through D, and D's own weights need none
        with self._autocast():
            logits_fake = self._judge(fake, batch.label, batch.augment[2])
            paired = self._recipe.loss == "relativistic"
            logits_real = self._judge(batch.real, batch.label, batch.augment[0]) if paired else None
        loss = generator_loss(self._recipe.loss, logits_real, logits_fake)
        players.generator_adam.zero_grad()
        torch.autograd.backward(loss)
        players.generator_adam.step()
        players.discriminator.requires_grad_(True)
        return loss.detach(), _score(logits_fake)

    def _penalties(self, batch: Batch, fake: Tensor) -> Tensor | float:
        """R1 and R2 (Mescheder et al. 2018): D's squared gradients at the images it sees, in fp32."""
        sides = ((self._recipe.r1, batch.real, batch.augment[0]), (self._recipe.r2, fake, batch.augment[1]))
        return sum(
            weight / 2 * self._steepness(images, batch.label, draws) for weight, images, draws in sides if weight
        )

    def _steepness(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        images = augment(images.detach().float(), self._recipe.augment, draws).requires_grad_()
        logits = self._players.discriminator(images, label)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def _judge(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """D's logits in fp32, for losses in fp32."""
        logits: Tensor = self._players.discriminator(augment(images, self._recipe.augment, draws), label)
        return logits.float()

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


def set_rates(players: Players, recipe: Recipe, factor: float) -> None:
    """Sets both learning rates to those of the recipe, times `factor`."""
    pairs = ((players.generator_adam, recipe.generator_adam), (players.discriminator_adam, recipe.discriminator_adam))
    for optimizer, settings in pairs:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * factor


def _adam(network: torch.nn.Module, settings: Adam) -> torch.optim.Adam:
    """Makes an optimizer with its state in place from the start, so that a checkpoint can be copied into it."""
    adam = torch.optim.Adam(network.parameters(), lr=settings.rate, betas=(settings.beta1, settings.beta2), fused=True)
    for parameter in network.parameters():
        step = torch.zeros((), device=parameter.device)
        moments = {name: torch.zeros_like(parameter.detach()) for name in ("exp_avg", "exp_avg_sq")}
        adam.state[parameter] = {"step": step, **moments}
    return adam


def _score(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.detach()).mean()
