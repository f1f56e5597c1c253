"""Export of a training run to a released model: verified ONNX, TorchScript and safetensors.

The command `dcgan-export` and the files that it writes are public; the Python names are not, and
may change in any release (docs/reference/python-api.md).
"""
