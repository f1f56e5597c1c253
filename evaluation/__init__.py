"""Quality of generated images, measured on the exported model with public features.

The command `dcgan-evaluate` and its report are public; the Python names are not, and may change in
any release (docs/reference/python-api.md).
"""
