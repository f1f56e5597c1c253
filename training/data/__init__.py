"""Images on the way to a training step: sources, decoding, the decoded cache, the loader, augmentation."""
