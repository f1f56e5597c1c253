"""The training step: an update of D, then one of G."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.training.config import Recipe
from dcgan.training.data.loader import TrainingBatch
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.engine.passes import DiscriminatorLosses, ForwardPasses
from dcgan.training.engine.state import TrainingState
from dcgan.training.models.gradient_penalty import input_gradient, linear_gradient, squared_norm
from dcgan.training.models.weight_copies import WeightCopies
from dcgan.training.monitor.step_metrics import diversity
from dcgan.training.switches import StepSwitches

_PLAIN = StepSwitches()


@dataclass(frozen=True, kw_only=True)
class DiscriminatorPhase:
    """Results of D's update that G's update and the metrics need.

    Attributes:
        fake: generated images, [B, C, H, W], with their graph.
        losses: D's loss and scores, before its update.
    """

    fake: Tensor
    losses: DiscriminatorLosses


class TrainingStep:
    """Trains both networks with one batch.

    Args:
        recipe: losses, penalties and augmentation.
        state: the networks and optimizers.
        precision: "fp32", or "bf16" for bfloat16 autocast.
        context: the processes that share each batch.
        switches: how the step is computed; without any, plainly.

    Attributes:
        passes: the forward passes, whose methods may be replaced by compiled ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        precision: str,
        context: DistributedContext = SINGLE_PROCESS,
        switches: StepSwitches = _PLAIN,
    ) -> None:
        self._recipe = recipe
        self._state = state
        self._context = context
        self._linear_penalties = switches.linear_penalties
        self.passes = ForwardPasses(recipe, state, bf16=precision == "bf16", switches=switches)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Updates D, then G.

        Returns:
            The metrics of the step, float32 [len(STEP_METRICS)], on the device. Reading them waits
            for the step, so the caller reads those of many steps at once.
        """
        phase = self.train_discriminator(batch)
        return self.train_generator(batch, phase)

    def train_discriminator(self, batch: TrainingBatch) -> DiscriminatorPhase:
        """Updates D with real images and with images that G generates."""
        state = self._state
        passes = self.passes
        _refresh(passes.generator_copies)
        _refresh(passes.discriminator_copies)

        fake = passes.generate(batch.z, batch.label)
        losses = passes.discriminator_losses(batch.real, fake.detach(), batch.label, batch.augment)
        objective = losses.loss + losses.penalty + self._gradient_penalties(batch, fake)
        self._update(
            objective * batch.share,
            state.discriminator,
            state.discriminator_adam,
            passes.discriminator_copies,
        )
        return DiscriminatorPhase(fake=fake, losses=losses)

    def train_generator(self, batch: TrainingBatch, phase: DiscriminatorPhase) -> Tensor:
        """Updates G with the gradient through the updated D, and returns the metrics."""
        state = self._state
        passes = self.passes
        _refresh(passes.discriminator_copies)

        # G's gradient passes through D; D's weights need none.
        _require_gradients(state.discriminator, passes.discriminator_copies, required=False)
        try:
            losses = passes.generator_losses(
                batch.real, phase.fake, batch.label, batch.augment[:3:2]
            )
            self._update(
                losses.loss * batch.share,
                state.generator,
                state.generator_adam,
                passes.generator_copies,
            )
        finally:
            _require_gradients(state.discriminator, passes.discriminator_copies, required=True)

        metrics = [
            phase.losses.loss.detach(),
            losses.loss.detach(),
            phase.losses.score_real,
            phase.losses.score_fake,
            losses.score_fake,
            diversity(batch.real, passes.without_padding(phase.fake), self._context),
        ]
        return self._context.all_reduce_sum(torch.stack(metrics) * batch.share)

    def _update(
        self,
        objective: Tensor,
        network: torch.nn.Module,
        adam: torch.optim.Adam,
        copies: WeightCopies | None,
    ) -> None:
        """Updates a network; the first gradient of a weight is stored, not added to zeros."""
        adam.zero_grad()
        if copies is not None:
            copies.zero_grad()
        torch.autograd.backward(objective)
        if copies is not None:
            copies.collect_gradients()

        self._context.all_reduce_gradients(network.parameters())
        adam.step()

    def _gradient_penalties(self, batch: TrainingBatch, fake: Tensor) -> Tensor | float:
        """Returns R1 and R2 (Mescheder et al. 2018), in float32, with their weights."""
        if not batch.penalized:
            return 0.0
        terms = (
            (self._recipe.r1, batch.real, batch.augment[0]),
            (self._recipe.r2, fake, batch.augment[1]),
        )
        weighted = [
            weight / 2 * self._squared_gradient(images, batch.label, draws)
            for weight, images, draws in terms
            if weight
        ]
        return sum(weighted) * self._recipe.penalty_every

    def _squared_gradient(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """Returns the mean over the batch of |dD(x)/dx|^2."""
        images = self.passes.without_padding(images.detach()).float()
        gradient = linear_gradient if self._linear_penalties else input_gradient
        augmented = self.passes.augment(images, draws)
        return squared_norm(gradient(self._state.discriminator, augmented, label))


def _refresh(copies: WeightCopies | None) -> None:
    if copies is not None:
        copies.refresh()


def _require_gradients(
    network: torch.nn.Module, copies: WeightCopies | None, *, required: bool
) -> None:
    network.requires_grad_(required)
    if copies is not None:
        copies.requires_grad_(required)
