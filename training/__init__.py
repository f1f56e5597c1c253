"""Training of DCGANs: from images to a run folder with weights, metrics and samples."""
