"""The forward passes of a training step, each from its inputs to a loss.

There are three because each is differentiated on its own: a graph that was compiled as one would be
freed by D's update, before G's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.parametrize import cached

from dcgan.training.config import Recipe
from dcgan.training.data.augment import augment, perturb
from dcgan.training.engine.state import TrainingState
from dcgan.training.models.losses import discriminator_loss, generator_loss
from dcgan.training.models.networks import LayerWeights
from dcgan.training.models.weight_copies import WeightCopies
from dcgan.training.monitor.step_metrics import score
from dcgan.training.switches import StepSwitches


class DiscriminatorLosses(NamedTuple):
    """What D's pass returns.

    Attributes:
        loss: D's loss.
        score_real: mean probability that D gives real images.
        score_fake: mean probability that D gives generated images.
        penalty: consistency regularization with its weight, which is no part of the loss.
    """

    loss: Tensor
    score_real: Tensor
    score_fake: Tensor
    penalty: Tensor | float


class GeneratorLosses(NamedTuple):
    """What G's pass returns.

    Attributes:
        loss: G's loss.
        score_fake: mean probability that D gives generated images.
    """

    loss: Tensor
    score_fake: Tensor


class ForwardPasses:
    """The forward passes of a step.

    Args:
        recipe: loss and augmentation.
        state: the networks.
        bf16: compute under bfloat16 autocast.
        switches: how.

    Attributes:
        generator_copies: weights that G reads in place of its own, or None.
        discriminator_copies: weights that D reads in place of its own, or None.
    """

    def __init__(
        self, recipe: Recipe, state: TrainingState, *, bf16: bool, switches: StepSwitches
    ) -> None:
        self._recipe = recipe
        self._state = state
        self._bf16 = bf16
        self._one_pass = switches.one_pass
        self._device = next(state.generator.parameters()).device

        # Tensor cores read channels in groups of 16 bytes.
        self._channels = recipe.generator.channels
        if switches.padded_channels:
            self._channels = 8 if bf16 else 4

        self.generator_copies: WeightCopies | None = None
        self.discriminator_copies: WeightCopies | None = None
        if switches.weight_copies or switches.padded_channels:
            dtype = torch.bfloat16 if bf16 and switches.weight_copies else None
            self.generator_copies = WeightCopies(
                state.generator, dtype=dtype, image_channels=self._channels
            )
            self.discriminator_copies = WeightCopies(
                state.discriminator, dtype=dtype, image_channels=self._channels
            )

    def generate(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Generates images, [B, C, H, W], with channels of zeros where images are padded."""
        with self._autocast():
            return cast(Tensor, self._state.generator(z, label, _weights(self.generator_copies)))

    def discriminator_losses(
        self, real: Tensor, fake: Tensor, label: Tensor | None, draws: Tensor
    ) -> DiscriminatorLosses:
        """Computes D's losses on real and generated images.

        Args:
            real: real images.
            fake: generated images, without their graph.
            label: class of each real image, and of the generated image at its place.
            draws: random numbers of `TrainingBatch.augment`.
        """
        with self._judging():
            logits_real, logits_fake = self._judge_both(real, fake, label, draws[:2])
            penalty: Tensor | float = 0.0
            if self._recipe.consistency:
                changed = self._judge_changed(real, fake, label, draws)
                differences = (logits_real - changed[0], logits_fake - changed[1])
                squares = sum(difference.square().mean() for difference in differences)
                penalty = self._recipe.consistency * squares

        loss = discriminator_loss(self._recipe.loss, logits_real, logits_fake)
        return DiscriminatorLosses(loss, score(logits_real), score(logits_fake), penalty)

    def generator_losses(
        self, real: Tensor, fake: Tensor, label: Tensor | None, draws: Tensor
    ) -> GeneratorLosses:
        """Computes G's loss on generated images, and on real ones if it needs them.

        Args:
            real: real images.
            fake: generated images, with their graph.
            label: see `discriminator_losses`.
            draws: random numbers for augmentation, of real images and of generated ones.
        """
        with self._judging():
            logits_fake = self._judge(fake, label, draws[1])
            logits_real = None
            if self._recipe.loss == "relativistic":
                logits_real = self._judge(real, label, draws[0])

        loss = generator_loss(self._recipe.loss, logits_real, logits_fake)
        return GeneratorLosses(loss, score(logits_fake))

    def without_padding(self, images: Tensor) -> Tensor:
        """Returns the channels of images that are no padding."""
        return images[:, : self._recipe.generator.channels]

    def augment(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augments images as the recipe says, each by its own random numbers."""
        return augment(images, self._recipe.augment, draws, self._recipe.augment_probability)

    def _judge_changed(
        self, real: Tensor, fake: Tensor, label: Tensor | None, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Judges the images after the changes of consistency regularization, before augmentation.

        Both see the same augmentation, so only the changes can make a difference.
        """
        flip = self._recipe.flip
        return self._judge_both(
            perturb(self.without_padding(real), draws[3], flip=flip),
            perturb(self.without_padding(fake), draws[4], flip=flip),
            label,
            draws[:2],
        )

    def _judge_both(
        self, real: Tensor, fake: Tensor, label: Tensor | None, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns D's logits of real and of generated images, in one pass if that is on."""
        if not self._one_pass:
            return self._judge(real, label, draws[0]), self._judge(fake, label, draws[1])

        images = torch.cat([self.without_padding(real), self.without_padding(fake)])
        labels = None if label is None else torch.cat([label, label])
        logits = self._judge(images, labels, draws.flatten(0, 1))
        logits_real, logits_fake = logits.chunk(2)
        return logits_real, logits_fake

    def _judge(self, images: Tensor, label: Tensor | None, draws: Tensor) -> Tensor:
        """Returns D's logits of augmented images, in float32, because losses are in float32."""
        if self._recipe.augment:
            images = self.augment(self.without_padding(images), draws)
        missing = self._channels - images.shape[1]
        if missing > 0:
            images = pad(images, (0, 0, 0, 0, 0, missing))

        weights = _weights(self.discriminator_copies)
        return cast(Tensor, self._state.discriminator(images, label, weights)).float()

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """Computes the spectral norm of each weight once for all calls of D in the block."""
        with self._autocast():
            if self.discriminator_copies is not None:
                yield  # the copies are normalized
                return
            with cached():
                yield

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


def _weights(copies: WeightCopies | None) -> LayerWeights | None:
    return None if copies is None else copies.weights
