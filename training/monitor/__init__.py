"""What a run measures and shows: metrics, collapse detection, TensorBoard, progress and samples."""
