"""From image files to batches: sources, labels, decoding, cache, loader and augmentation."""
