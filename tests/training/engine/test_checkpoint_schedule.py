"""When checkpoints are written."""

from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule


def test_cadence_counts_steps_and_seconds():
    cadence = CheckpointSchedule(seconds=1e9, steps=4)
    assert [step for step in range(1, 10) if cadence.due(step)] == [4, 8]
    assert CheckpointSchedule(seconds=0.0).due(1)
    assert not CheckpointSchedule(seconds=1e9).due(1)
