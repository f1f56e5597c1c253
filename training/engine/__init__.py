"""The training loop: step, state, checkpoints, recorder, rewinding and signals."""
