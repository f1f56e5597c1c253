"""Released models: manifests, model folders, archives, indexes, and the command `dcgan-zoo`."""
