"""One training step: D's phase, then G's. The hot path."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from dcgan.training.config import Adam, Recipe
from dcgan.training.data.augment import augment
from dcgan.training.data.loader import Batch
from dcgan.training.distributed import ALONE, Team, synchronise
from dcgan.training.models.losses import discriminator_loss, generator_loss
from dcgan.training.models.networks import Discriminator, Generator, initialise

MEASURES = ("loss_D", "loss_G", "score_D", "score_G1", "score_G2", "diversity")
"""What a step returns: both losses; the mean probability that D gives real images, and generated ones before and after
its update; how much the generated images of the batch differ from each other, as a share of what the real ones do."""

_FLAT = 0.01  # added to both spreads, in units of [-1, 1]: images that are all alike have no ratio


@dataclass(frozen=True, kw_only=True)
class Players:
    """Both networks and their optimizers, on one device, in channels-last order."""

    generator: Generator
    discriminator: Discriminator
    generator_adam: torch.optim.Adam
    discriminator_adam: torch.optim.Adam

    def state(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by name; the tensors themselves, not copies."""
        state: dict[str, Tensor] = {}
        for prefix, network, optimizer in (
            ("generator", self.generator, self.generator_adam),
            ("discriminator", self.discriminator, self.discriminator_adam),
        ):
            state |= {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}
            for name, parameter in network.named_parameters():
                moments = optimizer.state[parameter]
                state |= {f"{prefix}_adam.{name}.{key}": tensor for key, tensor in moments.items()}
        return state


def make_players(recipe: Recipe, seed: int, device: torch.device, team: Team = ALONE) -> Players:
    """Draws the first weights, on the CPU, so that a seed means the same weights on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, discriminator = Generator(recipe.generator), Discriminator(recipe.discriminator)
        initialise(generator)
        initialise(discriminator)
    for network in (generator, discriminator):
        synchronise(network, team)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Players(
        generator=generator,
        discriminator=discriminator,
        generator_adam=_adam(generator, recipe.generator_adam),
        discriminator_adam=_adam(discriminator, recipe.discriminator_adam),
    )


class Step:
    """Trains two networks by one batch at a time."""

    def __init__(
        self, recipe: Recipe, players: Players, precision: str, team: Team = ALONE
    ) -> None:
        self._team = team
        self._recipe = recipe
        self._players = players
        self._bf16 = precision == "bf16"
        self._device = next(players.generator.parameters()).device

    def __call__(self, batch: Batch) -> Tensor:
        """Updates D, then G.

        Returns:
            MEASURES, float32 [6], on the device: reading them waits for the step, so the loop reads many at once.
        """
        fake, of_discriminator = self.train_discriminator(batch)
        return self.train_generator(batch, fake, of_discriminator)

    def train_discriminator(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """D's phase: the generated images, and D's loss and its scores for real and for generated images."""
        players = self._players
        with (
            self._autocast(),
            cached(),
        ):  # both sides are judged by weights that were divided by their norm once
            fake = players.generator(batch.z, batch.label)
            logits_real = self._judge(batch.real, batch.label, batch.augment[0])
            logits_fake = self._judge(fake.detach(), batch.label, batch.augment[1])
        loss = discriminator_loss(self._recipe.loss, logits_real, logits_fake)
        objective = loss + self._penalties(batch, fake)
        self._descend(objective * batch.share, players.discriminator, players.discriminator_adam)
        return fake, (loss.detach(), _score(logits_real), _score(logits_fake))

    def train_generator(
        self, batch: Batch, fake: Tensor, of_discriminator: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """G's phase, through the D that has just been updated; returns MEASURES."""
        players = self._players
        players.discriminator.requires_grad_(
            False
        )  # G's gradient passes through D, and D's own weights need none
        with self._autocast(), cached():
            logits_fake = self._judge(fake, batch.label, batch.augment[2])
            paired = self._recipe.loss == "relativistic"
            logits_real = self._judge(batch.real, batch.label, batch.augment[0]) if paired else None
        loss = generator_loss(self._recipe.loss, logits_real, logits_fake)
        self._descend(loss * batch.share, players.generator, players.generator_adam)
        players.discriminator.requires_grad_(True)
        loss_d, score_d, score_g1 = of_discriminator
        diversity = _diversity(batch.real, fake, self._team)
        measures = [loss_d, loss.detach(), score_d, score_g1, _score(logits_fake), diversity]
        return self._team.sum(torch.stack(measures) * batch.share)

    def _descend(self, objective: Tensor, network: torch.nn.Module, adam: torch.optim.Adam) -> None:
        adam.zero_grad()
        torch.autograd.backward(objective)
        self._team.sum_gradients(network.parameters())
        adam.step()

    def _penalties(self, batch: Batch, fake: Tensor) -> Tensor | float:
        """R1 and R2 (Mescheder et al. 2018): D's squared gradients at the images it sees, in fp32."""
        sides = (
            (self._recipe.r1, batch.real, batch.augment[0]),
            (self._recipe.r2, fake, batch.augment[1]),
        )
        return sum(
            weight / 2 * self._steepness(images, batch.label, draws)
            for weight, images, draws in sides
            if weight
        )

    def _steepness(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        images = self._augment(images.detach().float(), draws).requires_grad_()
        logits = self._players.discriminator(images, label)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def _judge(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """D's logits in fp32, for losses in fp32."""
        logits: Tensor = self._players.discriminator(self._augment(images, draws), label)
        return logits.float()

    def _augment(self, images: Tensor, draws: Tensor) -> Tensor:
        return augment(images, self._recipe.augment, draws, self._recipe.augment_probability)

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


def set_rates(players: Players, recipe: Recipe, factor: float) -> None:
    """Sets both learning rates to those of the recipe, times `factor`."""
    pairs = (
        (players.generator_adam, recipe.generator_adam),
        (players.discriminator_adam, recipe.discriminator_adam),
    )
    for optimizer, settings in pairs:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(
                    settings.rate * factor
                )  # a recorded graph reads it from where it lies
            else:
                group["lr"] = settings.rate * factor


def _adam(network: torch.nn.Module, settings: Adam) -> torch.optim.Adam:
    """Makes an optimizer with its state in place from the start, so that a checkpoint can be copied into it."""
    device = next(network.parameters()).device
    cuda = device.type == "cuda"  # there the rate lies on the device, as a recorded graph needs it
    rate = torch.tensor(settings.rate, device=device) if cuda else settings.rate
    betas = (settings.beta1, settings.beta2)
    adam = torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True, capturable=cuda)
    for parameter in network.parameters():
        step = torch.zeros((), device=parameter.device)
        moments = {name: torch.zeros_like(parameter.detach()) for name in ("exp_avg", "exp_avg_sq")}
        adam.state[parameter] = {"step": step, **moments}
    return adam


def _diversity(real: Tensor, fake: Tensor, team: Team) -> Tensor:
    """From every fourth row and column: it is looked at by the alarm and by people, at each step."""
    pixels = torch.stack(
        [images.detach()[:, :, ::4, ::4].float() for images in (fake, real)], dim=1
    )
    spreads = _spread(pixels, team).mean(dim=(1, 2, 3)) + _FLAT
    return spreads[0] / spreads[1]


def _spread(values: Tensor, team: Team) -> Tensor:
    """Standard deviation over the whole batch, [B, 2, ...] -> [2, ...]; the mean of small shares is less."""
    if team.size == 1:
        return values.std(dim=0, correction=0)
    exact = values.double()  # for the difference of two means
    ones = torch.ones_like(exact[:, :1])
    sums = team.sum(torch.cat([ones, exact, exact.square()], dim=1).sum(dim=0))
    count, first, second = sums[:1], sums[1:3], sums[3:]
    return (second / count - (first / count).square()).clamp(min=0).sqrt().float()


def _score(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.detach()).mean()
