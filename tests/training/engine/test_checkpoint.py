"""Checkpoints."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.engine import checkpoint
from dcgan.training.engine.checkpoint import (
    CHECKPOINT,
    Position,
    checkpoint_layout,
    checkpoint_tensors,
    encode_checkpoint,
    load_checkpoint,
)
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.models.ema import EMA
from dcgan.training.models.tensor_header import same_layout


def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(
    configure, dataset, small, tmp_path
):
    path = tmp_path / CHECKPOINT
    trainer = Trainer(configure(ema_half_life=50), dataset)
    trainer.train_step()
    path.write_bytes(trainer.encode_checkpoint())
    state = create_training_state(small, 5, torch.device("cpu"))
    before = encode_checkpoint(state, None, Position(step=0))

    with pytest.raises(TrainingError, match="does not fit the recipe"):
        load_checkpoint(path, state, None)
    assert encode_checkpoint(state, None, Position(step=0)) == before


@pytest.mark.hostile(
    "A sparse file of 2 GB as the checkpoint of a run that is resumed",
    "its header is compared with the recipe; the rest is not read",
)
def test_a_checkpoint_of_gigabytes_is_refused_unread(small, tmp_path, write_holes, monkeypatch):
    monkeypatch.setattr(checkpoint, "read_tensors", lambda _: pytest.fail("read"))
    write_holes(tmp_path / CHECKPOINT)
    state = create_training_state(small, 5, torch.device("cpu"))
    with pytest.raises(TrainingError, match="does not fit the recipe of the run"):
        load_checkpoint(tmp_path / CHECKPOINT, state, None)


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_layout_is_that_of_the_checkpoints_of_a_recipe(small, norm, classes):
    generator = replace(small.generator, classes=classes)
    discriminator = replace(small.discriminator, classes=classes, norm=norm)
    recipe = replace(small, generator=generator, discriminator=discriminator, ema_half_life=classes)
    state = create_training_state(recipe, 0, torch.device("cpu"))
    ema = EMA(state.generator, half_life=1, batch_size=1, seed=0) if classes else None
    assert same_layout(checkpoint_tensors(state, ema), checkpoint_layout(recipe))
