"""Adaptive discriminator augmentation (ADA): the share of augmented images follows overfitting.

From "Training Generative Adversarial Networks with Limited Data" (Karras et al. 2020). A
discriminator that memorizes its images is sure of them: r = E[sign(D(real))] nears 1. So the share
of the images that are augmented rises while r is above a target, and falls while it is below.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcgan.training.config import Recipe

BATCHES = 4
"""Batches over which r is averaged before each change of the share, as in the paper."""

# Names of the tensors in checkpoints.
_PREFIX = "augment."


class AdaptiveAugmentation:
    """The share of augmented images, and what its next change depends on.

    All values are tensors on the device, which are changed in place and never read, so a step does
    not wait for the device and a CUDA graph can change them.

    Args:
        recipe: the target, the first share, and how fast the share changes.
        device: of the tensors.

    Attributes:
        probability: of an image to be augmented, float32, a scalar.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self._target = recipe.augment_target
        self._change = BATCHES * recipe.batch_size / recipe.augment_images
        start = recipe.augment_probability
        self.probability = torch.full((), start, dtype=torch.float32, device=device)
        self._signs = torch.zeros((), dtype=torch.float32, device=device)
        self._batches = torch.zeros((), dtype=torch.float32, device=device)

    def update(self, sign: Tensor) -> None:
        """Counts a batch; after every `BATCHES` of them, changes the share.

        Args:
            sign: mean sign of D's logits of the real images of the whole batch, a scalar.
        """
        with torch.no_grad():
            self._signs.add_(sign)
            self._batches.add_(1)
            due = self._batches >= BATCHES

            direction = torch.sign(self._signs / BATCHES - self._target)
            self.probability.add_(direction * due * self._change).clamp_(0, 1)
            self._signs.mul_(~due)
            self._batches.mul_(~due)

    def tensors(self) -> dict[str, Tensor]:
        """Returns every tensor that `update` changes, by its name in checkpoints; no copies."""
        return {
            f"{_PREFIX}probability": self.probability,
            f"{_PREFIX}signs": self._signs,
            f"{_PREFIX}batches": self._batches,
        }
