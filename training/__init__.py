"""Training of DCGANs: from images to a run folder with weights, metrics and samples.

The command `dcgan-train` and the run folder are public; the Python names are not, and may change in
any release (docs/reference/python-api.md).
"""
