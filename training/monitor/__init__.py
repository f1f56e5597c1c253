"""What is watched and recorded of a run: metrics log, TensorBoard, curves, samples, collapse detection."""
