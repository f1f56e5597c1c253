"""Checkpoints."""

import pytest
import torch

from dcgan.training.engine.checkpoint import (
    CHECKPOINT,
    Position,
    encode_checkpoint,
    load_checkpoint,
)
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError


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
