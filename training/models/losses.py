"""GAN losses, as functions of the discriminator's logits [B] for real and for generated images."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu, softplus

LOSSES = ("bce", "hinge", "relativistic")
"""Names of the losses.

bce: cross entropy (Goodfellow et al. 2014).
hinge: hinge loss (Lim and Ye 2017).
relativistic: relativistic pairing loss (Jolicoeur-Martineau 2019).
"""


def discriminator_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """Returns the discriminator's loss.

    Args:
        name: one of LOSSES.
        real: logits of real images.
        fake: logits of generated images.
    """
    if name == "bce":
        # softplus(-x) is the cross entropy of sigmoid(x) with label 1, softplus(x) with label 0.
        return softplus(-real).mean() + softplus(fake).mean()
    if name == "hinge":
        return relu(1.0 - real).mean() + relu(1.0 + fake).mean()
    return softplus(fake - real).mean()


def generator_loss(name: str, real: Tensor | None, fake: Tensor) -> Tensor:
    """Returns the generator's loss; "bce" is the non-saturating form.

    Args:
        name: one of LOSSES.
        real: logits of real images, which only "relativistic" needs.
        fake: logits of generated images.
    """
    if name == "bce":
        return softplus(-fake).mean()
    if name == "hinge":
        return -fake.mean()
    if real is None:
        raise ValueError("the relativistic loss needs the logits of real images")
    return softplus(real - fake).mean()
