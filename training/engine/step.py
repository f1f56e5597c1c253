"""The training step: an update of D, then one of G."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from dcgan.training.config import Recipe
from dcgan.training.data.augment import augment
from dcgan.training.data.loader import TrainingBatch
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.engine.state import TrainingState
from dcgan.training.models.losses import discriminator_loss, generator_loss
from dcgan.training.monitor.step_metrics import diversity, score


@dataclass(frozen=True, kw_only=True)
class DiscriminatorPhase:
    """Results of D's update that G's update and the metrics need.

    Attributes:
        fake: generated images, [B, C, H, W], with their graph.
        loss: D's loss.
        score_real: mean probability that D gives real images.
        score_fake: mean probability that D gives generated images, before its update.
    """

    fake: Tensor
    loss: Tensor
    score_real: Tensor
    score_fake: Tensor


class TrainingStep:
    """Trains both networks with one batch.

    Args:
        recipe: losses, penalties and augmentation.
        state: the networks and optimizers.
        precision: "fp32", or "bf16" for bfloat16 autocast.
        context: the processes that share each batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        precision: str,
        context: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self._recipe = recipe
        self._state = state
        self._context = context
        self._bf16 = precision == "bf16"
        self._device = next(state.generator.parameters()).device

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Updates D, then G.

        Returns:
            The metrics of the step (STEP_METRICS), float32 [6], on the device. Reading them waits
            for the step, so the caller reads those of many steps at once.
        """
        phase = self.train_discriminator(batch)
        return self.train_generator(batch, phase)

    def train_discriminator(self, batch: TrainingBatch) -> DiscriminatorPhase:
        """Updates D with real images and with images that G generates."""
        state = self._state

        # `cached` computes the spectral norm of each weight once for both calls of D.
        with self._autocast(), cached():
            fake = state.generator(batch.z, batch.label)
            logits_real = self._discriminate(batch.real, batch.label, batch.augment[0])
            logits_fake = self._discriminate(fake.detach(), batch.label, batch.augment[1])

        loss = discriminator_loss(self._recipe.loss, logits_real, logits_fake)
        objective = loss + self._gradient_penalties(batch, fake)
        self._update(objective * batch.share, state.discriminator, state.discriminator_adam)

        return DiscriminatorPhase(
            fake=fake,
            loss=loss.detach(),
            score_real=score(logits_real),
            score_fake=score(logits_fake),
        )

    def train_generator(self, batch: TrainingBatch, phase: DiscriminatorPhase) -> Tensor:
        """Updates G with the gradient through the updated D, and returns the metrics."""
        state = self._state

        # G's gradient passes through D; D's weights need none.
        state.discriminator.requires_grad_(False)
        with self._autocast(), cached():
            logits_fake = self._discriminate(phase.fake, batch.label, batch.augment[2])
            logits_real = None
            if self._recipe.loss == "relativistic":
                logits_real = self._discriminate(batch.real, batch.label, batch.augment[0])

        loss = generator_loss(self._recipe.loss, logits_real, logits_fake)
        self._update(loss * batch.share, state.generator, state.generator_adam)
        state.discriminator.requires_grad_(True)

        metrics = [
            phase.loss,
            loss.detach(),
            phase.score_real,
            phase.score_fake,
            score(logits_fake),
            diversity(batch.real, phase.fake, self._context),
        ]
        return self._context.all_reduce_sum(torch.stack(metrics) * batch.share)

    def _update(self, objective: Tensor, network: torch.nn.Module, adam: torch.optim.Adam) -> None:
        adam.zero_grad()
        torch.autograd.backward(objective)
        self._context.all_reduce_gradients(network.parameters())
        adam.step()

    def _gradient_penalties(self, batch: TrainingBatch, fake: Tensor) -> Tensor | float:
        """Returns R1 and R2 (Mescheder et al. 2018), in float32, with their weights."""
        terms = (
            (self._recipe.r1, batch.real, batch.augment[0]),
            (self._recipe.r2, fake, batch.augment[1]),
        )
        return sum(
            weight / 2 * self._squared_gradient(images, batch.label, draws)
            for weight, images, draws in terms
            if weight
        )

    def _squared_gradient(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """Returns the mean over the batch of |dD(x)/dx|^2."""
        images = self._augment(images.detach().float(), draws).requires_grad_()
        logits = self._state.discriminator(images, label)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def _discriminate(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """Returns D's logits of augmented images, in float32, because losses are in float32."""
        logits: Tensor = self._state.discriminator(self._augment(images, draws), label)
        return logits.float()

    def _augment(self, images: Tensor, draws: Tensor) -> Tensor:
        return augment(images, self._recipe.augment, draws, self._recipe.augment_probability)

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)
