"""The training loop: step, CUDA graphs, checkpoints, rewinding, signals."""
