"""Recipes: the hyperparameters and network shapes of a run, read from TOML files.

A recipe is `recipes/<name>.toml` or a file of the user's; `--set key=value` changes single values.
Together with the data and the seed it determines what a run computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from dcgan.training.errors import TrainingError
from dcgan.training.models.losses import LOSSES
from dcgan.training.models.network_config import DiscriminatorConfig, GeneratorConfig
from dcgan.training.switches import EngineConfig, check_choice

PRECISIONS = ("auto", "fp32", "bf16")
AUGMENTATIONS = ("colour", "translation", "cutout")


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Hyperparameters of one Adam optimizer (Kingma and Ba 2015).

    Attributes:
        rate: learning rate.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
    """

    rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        fits = 0 < self.rate <= 1
        _check(fits, f"a learning rate must be above 0 and at most 1, not {self.rate}")

        betas = (self.beta1, self.beta2)
        fits = all(0 <= beta < 1 for beta in betas)
        _check(fits, f"the betas of Adam must be at least 0 and below 1, not {betas}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a generator is trained.

    Attributes:
        name: file name of the recipe, without its extension.
        description: what the trained model generates, in a sentence; goes into the manifest.
        batch_size: real images in a step, and as many generated ones.
        epochs: passes over the data, unless the command line says otherwise.
        whole_batches: drop the last batch of an epoch if it is incomplete.
        loss: one of LOSSES.
        flip: mirror half of the real images horizontally, chosen at random.
        augment: any of AUGMENTATIONS, for real and generated images (DiffAugment).
        augment_probability: share of the images that are augmented.
        augment_below: augment only data sets with fewer images than this; 0 for no limit.
        ema_half_life: half-life, in images, of the EMA of G's weights, which is what a run
            releases; 0 releases the trained weights themselves. Its key is `average_images`.
        decay_from: share of the run after which both learning rates decay linearly, to 0 at the
            end.
        r1: weight of the penalty on D's gradients at real images (R1), 0 for none.
        r2: weight of the penalty on D's gradients at generated images (R2), 0 for none.
        consistency: weight of the squared difference between D's logits of an image and of the same
            image shifted and, with `flip`, mirrored at random, for real and for generated images
            (balanced consistency regularization, bCR), 0 for none.
        penalty_every: compute R1 and R2 in one of this many steps, with as many times their weight
            (lazy regularization).
        precision: "fp32" or "bf16" if the recipe requires it; "auto" leaves the choice to the
            command line and the device.
        sample_steps: steps between two sample grids.
        keep_epochs: keep both networks every this many epochs in epochs/; 0 keeps the last ones
            only.
        generator: shape of the generator.
        discriminator: shape of the discriminator.
        generator_adam: optimizer of the generator.
        discriminator_adam: optimizer of the discriminator.
        engine: how a step is computed.
    """

    name: str
    description: str
    batch_size: int = 64
    epochs: int = 200
    whole_batches: bool = False
    loss: str = "bce"
    flip: bool = False
    augment: tuple[str, ...] = ()
    augment_probability: float = 1.0
    augment_below: int = 0
    ema_half_life: int = field(default=0, metadata={"key": "average_images"})
    decay_from: float = 1.0
    r1: float = 0.0
    r2: float = 0.0
    consistency: float = 0.0
    penalty_every: int = 1
    precision: str = "auto"
    sample_steps: int = 100
    keep_epochs: int = 0
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    generator_adam: AdamConfig = field(default_factory=AdamConfig)
    discriminator_adam: AdamConfig = field(default_factory=AdamConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_ranges()
        self._check_shapes()

    def _check_choices(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        check_choice("precision", self.precision, PRECISIONS)
        for name in self.augment:
            check_choice("augment", name, AUGMENTATIONS)

    def _check_ranges(self) -> None:
        fits = 1 <= self.batch_size <= 2**16
        _check(fits, f"batch_size must be 1 to 65536, not {self.batch_size}")
        for name in ("epochs", "sample_steps", "penalty_every"):
            value = getattr(self, name)
            _check(value >= 1, f"{name} must be 1 or more, not {value}")
        counts = {
            "keep_epochs": self.keep_epochs,
            "augment_below": self.augment_below,
            "average_images": self.ema_half_life,
        }
        for key, value in counts.items():
            _check(value >= 0, f"{key} must be 0 or more, not {value}")
        for name in ("augment_probability", "decay_from"):
            value = getattr(self, name)
            _check(0 <= value <= 1, f"{name} must be 0 to 1, not {value}")

        fits = min(self.r1, self.r2) >= 0
        _check(fits, f"r1 and r2 must be 0 or more, not {self.r1} and {self.r2}")
        fits = self.consistency >= 0
        _check(fits, f"consistency must be 0 or more, not {self.consistency}")

    def _check_shapes(self) -> None:
        for name in ("image_size", "channels", "classes"):
            ours = getattr(self.generator, name)
            theirs = getattr(self.discriminator, name)
            _check(
                ours == theirs,
                f"generator.{name} is {ours} and discriminator.{name} is {theirs}; make them equal",
            )

    def for_images(self, n: int) -> Recipe:
        """Returns the recipe for a data set of n images: without augmentation if it is large."""
        if 0 < self.augment_below <= n:
            return replace(self, augment=())
        return self

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """Returns the factor of both learning rates in step `step` (from 0) of `steps`."""
        start = self.decay_from * steps
        return 1.0 if step < start else (steps - step) / max(steps - start, 1.0)

    def images_seen(self, step: int, n: int) -> int:
        """Returns the number of real images in the first `step` batches of n images.

        Repeats are counted.
        """
        epoch, position = divmod(step, self.steps_per_epoch(n))
        per_epoch = self.steps_per_epoch(n) * self.batch_size if self.whole_batches else n
        return epoch * per_epoch + position * self.batch_size

    def steps_per_epoch(self, n: int) -> int:
        """Returns the number of batches in one pass over n images."""
        if self.whole_batches:
            return n // self.batch_size
        return math.ceil(n / self.batch_size)


def _check(fits: bool, message: str) -> None:
    if not fits:
        raise TrainingError(message)
