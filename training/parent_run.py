"""The run from whose networks a new run begins (`--init-from`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dcgan.core.origin import ParentRun
from dcgan.training.config import Recipe
from dcgan.training.engine.checkpoint import (
    checkpoint_layout,
    checkpoint_tensors,
    find_checkpoint,
)
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.models.networks import Discriminator, Generator
from dcgan.training.models.tensor_header import same_layout
from dcgan.training.recipe_files import change_recipe, load_recipe, recipe_names
from dcgan.training.recipe_values import first_difference, recipe_values
from dcgan.training.run_config import (
    CONFIG,
    RunConfig,
    describe_data,
    read_config,
)
from dcgan.training.tensor_file import read_layout, read_tensors

_NETWORKS = ("generator.", "discriminator.")
_AVERAGE = "average."
_MAX_STEPS = 2**63


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What a new run needs to know about the run from which it begins.

    Attributes:
        config: configuration of that run.
        record: what the new run records of it.
    """

    config: RunConfig
    record: ParentRun


def read_parent(folder: Path) -> Parent:
    """Reads a parent run.

    Raises:
        TrainingError: if it is not a run folder, has no checkpoint, or is training now.
        SchemaError: if config.json is damaged, or another release wrote it.
    """
    config = read_config(folder)
    path = _find_parent_checkpoint(folder, config.recipe)
    digest = _file_digest(path)
    _, facts = _read_unchanged(path, digest)
    step = facts.get("step", -1)
    if not 0 <= step < _MAX_STEPS:
        raise TrainingError(
            f"{path} does not say how long it was trained; name another --init-from"
        )

    earlier = 0 if config.init_from is None else config.init_from.images_seen
    record = ParentRun(
        checkpoint_sha256=digest,
        recipe=config.recipe.name,
        data=describe_data(config.data),
        data_sha256=config.data.sha256,
        steps=step,
        images_seen=earlier + config.recipe.images_seen(step, config.data.images),
    )
    return Parent(config=config, record=record)


def inherit_recipe(config: RunConfig, changes: tuple[str, ...]) -> Recipe:
    """Returns the recipe of a parent run with changes, for a new run.

    Augmentation that the parent left out because it had many images is part of it again.

    Args:
        config: of the parent run.
        changes: assignments such as "generator_adam.rate=1e-4".

    Raises:
        TrainingError: if a value is out of range.
        SchemaError: if a key is unknown or a value has the wrong type.
    """
    recipe = config.recipe
    if 0 < recipe.augment_below <= config.data.images and recipe.name in recipe_names():
        recipe = replace(recipe, augment=load_recipe(recipe.name).augment)
    return change_recipe(recipe, changes)


def check_same_shape(recipe: Recipe, config: RunConfig) -> None:
    """Checks that networks of a parent run fit a recipe.

    Args:
        recipe: of the new run.
        config: of the parent run.

    Raises:
        TrainingError: names the first value of the recipe in which their shapes differ.
    """
    if _shapes(recipe) == _shapes(config.recipe):
        return

    values = recipe_values(config.recipe)
    ours = {name: value for name, value in values.items() if name.startswith(_NETWORKS)}
    difference = first_difference(ours, recipe_values(recipe))
    raise TrainingError(
        f"the run of --init-from has {difference}, and networks must have the same shape; "
        "leave out what changes it, or start a new run without --init-from"
    )


def load_parent(trainer: Trainer, folder: Path | None, parent: ParentRun) -> None:
    """Loads the networks and the EMA of a parent run; the optimizers start anew.

    Args:
        trainer: of the new run, before its first step.
        folder: of the parent run; None if it is not known.
        parent: what the new run has recorded of it.

    Raises:
        TrainingError: if the parent run is missing, damaged, or another one than recorded.
    """
    if folder is None:
        raise TrainingError(
            "the run has no checkpoint yet, and begins from another run; give its --init-from again"
        )
    path = _find_parent_checkpoint(folder, read_config(folder).recipe)
    saved, _ = _read_unchanged(path, parent.checkpoint_sha256)
    inherited: list[tuple[Tensor, Tensor]] = []
    for name, tensor in checkpoint_tensors(trainer.state, trainer.ema).items():
        if not name.startswith((*_NETWORKS, _AVERAGE)):
            continue
        # A run without an EMA passes its trained weights on.
        trained = name.replace(_AVERAGE, "generator.", 1)
        source = saved.get(name, saved.get(trained))
        if source is None or source.shape != tensor.shape:
            raise _unfit(path)
        inherited.append((tensor, source))

    with torch.no_grad():
        for tensor, source in inherited:
            tensor.copy_(source)


def _find_parent_checkpoint(folder: Path, recipe: Recipe) -> Path:
    """Finds the checkpoint of a parent run, whose tensors have the shapes of its recipe."""
    layout = checkpoint_layout(recipe)
    path = find_checkpoint(folder, layout)
    if path is None:
        raise TrainingError(f"the run in {folder} has no checkpoint yet; name another --init-from")
    if not same_layout(read_layout(path), layout):
        raise _unfit(path)
    return path


def _unfit(path: Path) -> TrainingError:
    return TrainingError(
        f"{path} does not fit the recipe in {CONFIG} beside it; name another --init-from"
    )


def _read_unchanged(path: Path, digest: str) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Reads a checkpoint.

    Args:
        path: of the checkpoint.
        digest: SHA-256 that it must have.

    Raises:
        TrainingError: if it has another one, because its run goes on; or if it is damaged.
    """
    content = read_tensors(path)
    if _file_digest(path) != digest:
        raise TrainingError(
            f"{path} has changed since this run was configured; wait until the run in "
            f"{path.parent} has ended, and choose another --out"
        )
    return content


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shapes(recipe: Recipe) -> dict[str, torch.Size]:
    """Returns the shape of every tensor of both networks, without memory for them."""
    with torch.device("meta"):
        networks = (Generator(recipe.generator), Discriminator(recipe.discriminator))
    return {
        f"{prefix}{name}": tensor.shape
        for prefix, network in zip(_NETWORKS, networks, strict=True)
        for name, tensor in network.state_dict().items()
    }
