"""What the two networks minimise: functions of the discriminator's logits [B] for real and for generated images."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu, softplus


def discriminator_loss(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss.

    Args:
        name: "bce" (Goodfellow et al. 2014), "hinge" (Lim and Ye 2017) or "relativistic", by pairs
            (Jolicoeur-Martineau 2019).
        real: logits of real images.
        fake: logits of generated images.
    """
    if (
        name == "bce"
    ):  # softplus(-x) is the cross entropy of sigmoid(x) with the label 1, softplus(x) with 0
        return softplus(-real).mean() + softplus(fake).mean()
    if name == "hinge":
        return relu(1.0 - real).mean() + relu(1.0 + fake).mean()
    return softplus(fake - real).mean()


def generator_loss(name: str, real: Tensor | None, fake: Tensor) -> Tensor:
    """The generator's loss; "bce" is the form that does not saturate.

    Args:
        name: as for `discriminator_loss`.
        real: logits of real images, for "relativistic"; None for the others.
        fake: logits of generated images.
    """
    if name == "bce":
        return softplus(-fake).mean()
    if name == "hinge":
        return -fake.mean()
    if real is None:
        raise ValueError("the relativistic loss needs the logits of real images")
    return softplus(real - fake).mean()
