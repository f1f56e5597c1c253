"""Provenance of weights: which run trained them, for the manifest of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecipeChange:
    """A value that differs from the recipe, as JSON.

    Attributes:
        key: of the recipe, such as "generator.width".
        value: what the run used.
        recipe: what the recipe says.
    """

    key: str
    value: str
    recipe: str


@dataclass(frozen=True, kw_only=True)
class ParentRun:
    """A run from whose networks another run began.

    Attributes:
        checkpoint_sha256: digest of the checkpoint with the networks.
        recipe: name of its training recipe.
        data: description of its images.
        data_sha256: digest of its decoded images and labels.
        steps: that it had done.
        images_seen: real images shown to the discriminator, with repetitions; those of its own
            parents included.
    """

    checkpoint_sha256: str
    recipe: str
    data: str
    data_sha256: str
    steps: int
    images_seen: int


@dataclass(frozen=True, kw_only=True)
class Training:
    """The run that trained the weights.

    Attributes:
        recipe: name of the training recipe.
        data: description of the images.
        data_sha256: digest of the decoded images and labels.
        images_seen: real images shown to the discriminator, with repetitions.
        seed: of the run.
        hardware: description of the processor.
        commit: of this project, if known.
        steps: after which the weights were saved; None in manifests of the first release.
        planned_steps: of the run; fewer steps mean that it was stopped early.
        changes: every value that differs from the recipe; None if unknown.
        init_from: run from whose networks this one began; None if it began with random weights.
    """

    recipe: str
    data: str
    data_sha256: str
    images_seen: int
    seed: int
    hardware: str
    commit: str | None = None
    steps: int | None = None
    planned_steps: int | None = None
    changes: tuple[RecipeChange, ...] | None = None
    init_from: ParentRun | None = None

    @property
    def stopped_early(self) -> bool:
        """Whether the run is known to have ended before its last step."""
        known = self.steps is not None and self.planned_steps is not None
        return known and (self.steps or 0) < (self.planned_steps or 0)
