"""The training loop: step, state, checkpoints, recorder, rollback and signals."""
